// One log line a request, when its answer is sent: who asked for what, how it ended, how long it
// took. No headers, no bodies: a log holds no secrets and no tensors.
import type { FastifyInstance } from 'fastify';

export function requestLog(app: FastifyInstance): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { method, url } = request;
    const { statusCode, elapsedTime } = reply;
    request.log.info({ method, url, statusCode, durationMs: elapsedTime }, 'request');
    done();
  });
}
