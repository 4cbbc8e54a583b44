// 404 for an address that no route has, before its body is read.
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { CarryoverError } from '../../errors.ts';
import type { HttpServer } from '../http-server.ts';

/** How much of an unknown address is repeated. */
const SHOWN_CHARACTERS_MAX = 200;

export const notFound = fp(
  (app: HttpServer) => {
    app.addHook('onRequest', (request, _reply, done) => {
      done(request.is404 ? unknownAddress(request) : undefined);
    });
    app.setNotFoundHandler((request) => {
      throw unknownAddress(request);
    });
  },
  // Whether the request may be answered at all is decided first.
  { name: 'not-found', dependencies: ['admission', 'errors'] },
);

function unknownAddress({ method, originalUrl, server }: FastifyRequest): CarryoverError {
  const shown = originalUrl.slice(0, SHOWN_CHARACTERS_MAX);
  return new CarryoverError('not_found', {
    detail: `Nothing is served at ${method} ${shown}; GET ${server.publicAddress.pathOf('/docs')} lists the addresses.`,
  });
}
