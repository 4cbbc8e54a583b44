// Reports the end of every request that Fastify receives; the others are reported by connections/. It is registered
// first, so that also those are reported that the later hooks refuse.
import fp from 'fastify-plugin';
import type { HttpServer } from '../http-server.ts';
import { type RequestEndListener, reportEnd } from '../request-end.ts';

export interface RequestEndOptions {
  /** Undefined if nobody wants to know. */
  readonly onRequestEnd: RequestEndListener | undefined;
}

export const requestEnd = fp(
  (app: HttpServer, { onRequestEnd }: RequestEndOptions) => {
    if (!onRequestEnd) return;
    app.addHook('onRequest', (request, reply, done) => {
      reportEnd(request, reply, onRequestEnd);
      done();
    });
  },
  { name: 'request-end' },
);
