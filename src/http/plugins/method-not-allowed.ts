// 405 for an address that exists under another method. Fastify's router only knows "no such route",
// so for every address the methods it lacks are added, as routes that refuse.
import type { FastifyInstance, HTTPMethods } from 'fastify';
import { CarryoverError } from '../../errors.ts';
import { addressOf } from '../route-address.ts';

const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Watches which routes are added from now on; the function returned adds the refusing ones. */
export function methodNotAllowed(app: FastifyInstance): () => void {
  const urls = new Set<string>();
  app.addHook('onRoute', ({ url }) => void urls.add(url));
  return () => {
    // A copy: the routes added here would join the set while it is walked.
    for (const url of Array.from(urls)) refuseOthers(app, url);
  };
}

function refuseOthers(app: FastifyInstance, url: string): void {
  const served = METHODS.filter((method) => app.hasRoute({ url, method }));
  const allow = served.join(', ');
  app.route({
    method: METHODS.filter((method) => !served.includes(method)),
    url,
    schema: { hide: true },
    // Before the body is read: its type does not matter here.
    onRequest: async (request, reply) => {
      void reply.header('allow', allow);
      throw new CarryoverError('method_not_allowed', {
        detail: `${addressOf(request)} is not served; expected ${allow} at this address.`,
      });
    },
    handler: () => undefined,
  });
}
