// 421 for a request that names a host by which the service is not to be addressed (RFC 9110, section 15.5.20).
import fp from 'fastify-plugin';
import { CarryoverError } from '../../errors.ts';
import { type AllowedHosts, hostOf } from '../allowed-hosts.ts';
import { isHealthAddress } from '../health-address.ts';
import type { HttpServer } from '../http-server.ts';

/** How much of a host is repeated. */
const SHOWN_CHARACTERS_MAX = 100;

export const allowedHosts = fp(
  (app: HttpServer, { hosts }: { readonly hosts: AllowedHosts }) => {
    if (hosts.areAll) return;
    app.addHook('onRequest', (request, _reply, done) => {
      const host = hostOf(request.raw);
      // A probe that was refused would restart the service. It names it as its operator likes, and learns nothing secret.
      if (hosts.includes(host) || isHealthAddress(request.url)) return done();
      done(misdirected(host!));
    });
  },
  { name: 'allowed-hosts', dependencies: ['admission', 'errors'] },
);

function misdirected(host: string): CarryoverError {
  return new CarryoverError('misdirected_request', {
    detail:
      `The request names the host ${JSON.stringify(host.slice(0, SHOWN_CHARACTERS_MAX))}, which is not one of this service. ` +
      'If it is right, add it to ALLOWED_HOSTS, or set PUBLIC_URL.',
  });
}
