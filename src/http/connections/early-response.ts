// Responses to requests that have not arrived completely. Node reads and discards the rest of the body. If that
// is little, the connection stays open; if it is much, the connection is closed, though not while the client is
// still sending: it would see a broken connection instead of its response.
import type { FastifyReply, FastifyRequest } from 'fastify';

/** Up to this many bytes of a body are discarded to keep the connection. */
const DISCARDED_BYTES_MAX = 64 * 1024;

/** Decides what becomes of the connection; to be called before an error is sent. */
export function closeAfterEarlyResponse(request: FastifyRequest, reply: FastifyReply): void {
  const { raw, connection } = request;
  if (!connection || raw.complete || !hasBody(request)) return;
  const isLast = !reply.raw.shouldKeepAlive || reply.getHeader('connection') === 'close';
  if (!isLast && !connection.hasParserError && isShort(request)) return;
  void reply.header('connection', 'close');
  connection.closeAfterResponse(raw);
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Whether the rest of the body is short. After `Expect: 100-continue` the client may not send it at all. */
function isShort({ headers }: FastifyRequest): boolean {
  const length = headers['content-length'];
  return length !== undefined && Number(length) <= DISCARDED_BYTES_MAX && headers.expect === undefined;
}
