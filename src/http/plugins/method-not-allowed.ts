// 405 for an address that exists under another method. Fastify's router only knows "no such route", so for
// every address the methods it lacks are added as routes that refuse. Node's parser knows 27 methods more, of WebDAV and
// others: routes for these would take 50 ms of the start, so their addresses are looked up when one comes.
import type { FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import fp from 'fastify-plugin';
import { CarryoverError } from '../../errors.ts';
import type { HttpServer } from '../http-server.ts';
import { addressOf, shownPattern } from '../route-address.ts';

const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

declare module 'fastify' {
  interface FastifyInstance {
    /** The URL patterns of all routes registered so far, each with the methods that it serves once all are registered. */
    routeUrls: Map<string, string>;
  }
}

/** Collects the URLs of the routes; to be registered before the first route. */
export const routeUrls = fp(
  (app: HttpServer) => {
    const urls = new Map<string, string>();
    app.decorate('routeUrls', urls);
    app.addHook('onRoute', ({ url }) => {
      if (!urls.has(url)) urls.set(url, '');
    });
  },
  { name: 'route-urls' },
);

/** Adds the routes that refuse; to be registered after the last route. */
export const methodNotAllowed = fp(
  (app: HttpServer) => {
    // A copy: the routes added here are collected as well.
    for (const url of Array.from(app.routeUrls.keys())) refuseOtherMethods(app, url);
  },
  { name: 'method-not-allowed', dependencies: ['route-urls'] },
);

function refuseOtherMethods(app: HttpServer, url: string): void {
  const served = METHODS.filter((method) => app.hasRoute({ url, method }));
  const allow = served.join(', ');
  app.routeUrls.set(url, allow);
  app.route({
    method: METHODS.filter((method) => !served.includes(method)),
    url,
    schema: { hide: true },
    // Before the body is read: its type does not matter here.
    onRequest: async (request, reply) => {
      throw notServed(addressOf(request), allow, reply);
    },
    handler: () => undefined,
  });
}

/** The error for a method that has no routes at all, at an address that has some; undefined if there is no such address. */
export function refusalOfMethod({ method, url, server }: FastifyRequest, reply: FastifyReply): CarryoverError | undefined {
  if (METHODS.some((known) => known === method)) return undefined;
  const path = url.split('?', 1)[0]!;
  const { routeUrls: urls } = server;
  const pattern = urls.has(path) ? path : Array.from(urls.keys()).find((candidate) => matches(candidate, path));
  return pattern === undefined ? undefined : notServed(`${method} ${shownPattern(pattern)}`, urls.get(pattern)!, reply);
}

function notServed(address: string, allow: string, reply: FastifyReply): CarryoverError {
  void reply.header('allow', allow);
  return new CarryoverError('method_not_allowed', { detail: `${address} is not served; expected ${allow} at this address.` });
}

/** Whether a path is one of a pattern with parameters, or with `*` at its end. */
function matches(pattern: string, path: string): boolean {
  if (pattern.endsWith('*')) return path.startsWith(pattern.slice(0, -1));
  const given = path.split('/');
  const wanted = pattern.split('/');
  return wanted.length === given.length && wanted.every((part, i) => part === given[i] || (part.startsWith(':') && given[i] !== ''));
}
