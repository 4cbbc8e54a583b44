// One log line for each request, when its response has ended or its connection is lost. It has no headers and
// no bodies, so no secrets and no tensors.
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { HttpServer } from '../http-server.ts';

export const accessLog = fp(
  (app: HttpServer) => {
    // Without a logger Fastify's own, which has no levels, takes its place.
    const log = app.log as { isLevelEnabled?: (level: string) => boolean };
    if (!log.isLevelEnabled?.('info')) return;
    app.addHook('onRequest', (request, reply, done) => {
      logAtEnd(request, reply);
      done();
    });
  },
  { name: 'access-log' },
);

/**
 * Logs the request when its response is closed: method, URL, the pattern of its route, status, duration in ms,
 * bytes of the body received, bytes written to the connection (the head of the response included), and the
 * client's address. A request that was not answered has `unanswered`, the reason, instead of its line's success;
 * its status is missing if no head was sent.
 */
export function logAtEnd(request: FastifyRequest, reply: FastifyReply): void {
  const { socket } = request.raw;
  // Asked for now: a socket that is closed does not know its peer any more.
  const clientAddress = socket.remoteAddress;
  // One request of a connection runs at a time, so all that is written meanwhile belongs to its response.
  const bytesBefore = socket.bytesWritten;
  reply.raw.once('close', () => {
    const { method, url, routeOptions, bodyBytes } = request;
    const { statusCode, elapsedTime, raw } = reply;
    const isAnswered = raw.writableFinished;
    const line = {
      method,
      url,
      route: routeOptions.url,
      statusCode: isAnswered || raw.headersSent ? statusCode : undefined,
      durationMs: elapsedTime,
      bytesIn: bodyBytes,
      bytesOut: socket.bytesWritten - bytesBefore,
      client: clientAddress,
    };
    if (isAnswered) return request.log.info(line, 'request');
    const unanswered = request.connection?.endReason ?? 'the client left';
    request.log.info({ ...line, unanswered }, 'request');
  });
}
