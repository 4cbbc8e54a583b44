import fp from 'fastify-plugin';
import type { HttpServer } from '../http-server.ts';
import { setSecurityHeaders } from '../security-headers.ts';

/** Sets the headers of every response before anything can answer it. */
export const securityHeaders = fp(
  (app: HttpServer) => {
    app.addHook('onRequest', (request, reply, done) => {
      setSecurityHeaders(request, reply);
      done();
    });
  },
  { name: 'security-headers' },
);
