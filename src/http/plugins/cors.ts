// Tells browsers which pages may use the service; with CORS_ORIGINS only.
import fp from 'fastify-plugin';
import { closeAfterEarlyResponse } from '../connections/early-response.ts';
import type { Cors } from '../cors.ts';
import type { HttpServer } from '../http-server.ts';

/** Sets the headers of every response before anything can answer it: a page is to see an error, too, and its reason. */
export const corsHeaders = fp(
  (app: HttpServer, { cors }: { readonly cors: Cors }) => {
    if (cors.isOff) return;
    app.addHook('onRequest', (request, reply, done) => {
      cors.setHeaders(reply, request.headers.origin);
      done();
    });
  },
  { name: 'cors-headers' },
);

/**
 * Answers preflights. A browser sends them without the credentials of the request that follows, so they are answered
 * before any are asked for; and at any address, so that the page sees a 404 and not only that there was an error.
 */
export const preflights = fp(
  (app: HttpServer, { cors }: { readonly cors: Cors }) => {
    if (cors.isOff) return;
    app.addHook('onRequest', (request, reply, done) => {
      const { method, headers } = request;
      if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return done();
      // Another page gets what it would get without CORS: 405, which its browser does not show it.
      if (headers.origin === undefined || !cors.allows(headers.origin)) return done();
      closeAfterEarlyResponse(request, reply);
      void reply.code(204).headers(cors.preflightHeaders).send();
    });
  },
  { name: 'preflights', dependencies: ['admission', 'cors-headers'] },
);
