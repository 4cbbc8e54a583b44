// 405 for an address that exists under another method. Fastify's router only knows "no such route", so for
// every address the methods it lacks are added as routes that refuse.
import type { HTTPMethods } from 'fastify';
import fp from 'fastify-plugin';
import { CarryoverError } from '../../errors.ts';
import type { HttpServer } from '../http-server.ts';
import { addressOf } from '../route-address.ts';

const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

declare module 'fastify' {
  interface FastifyInstance {
    /** The URL patterns of all routes registered so far. */
    routeUrls: Set<string>;
  }
}

/** Collects the URLs of the routes; to be registered before the first route. */
export const routeUrls = fp(
  (app: HttpServer) => {
    const urls = new Set<string>();
    app.decorate('routeUrls', urls);
    app.addHook('onRoute', ({ url }) => void urls.add(url));
  },
  { name: 'route-urls' },
);

/** Adds the routes that refuse; to be registered after the last route. */
export const methodNotAllowed = fp(
  (app: HttpServer) => {
    // A copy: the routes added here are collected as well.
    for (const url of Array.from(app.routeUrls)) refuseOtherMethods(app, url);
  },
  { name: 'method-not-allowed', dependencies: ['route-urls'] },
);

function refuseOtherMethods(app: HttpServer, url: string): void {
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
