// One log line a request, when its answer has ended: who asked for what, how it ended, how long it took;
// also if the client did not wait for the answer. No headers, no bodies: a log holds no secrets and no
// tensors.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

export function accessLog(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    logAtEnd(request, reply);
    done();
  });
}

export function logAtEnd(request: FastifyRequest, reply: FastifyReply): void {
  reply.raw.once('close', () => {
    const { method, url } = request;
    const { statusCode, elapsedTime, raw } = reply;
    const ended = { method, url, statusCode, durationMs: elapsedTime };
    if (raw.writableFinished) return request.log.info(ended, 'request');
    const reason = request.client?.endReason ?? 'the client left';
    const status = raw.headersSent ? statusCode : undefined;
    request.log.info({ ...ended, statusCode: status, unanswered: reason }, 'request');
  });
}
