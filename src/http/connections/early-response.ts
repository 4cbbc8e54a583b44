// ResponseWriter to requests that have not come as a whole. What is still to come is read and dropped: little of
// it, and the connection goes on; much, and it is closed, though not under a client that is still sending,
// which would see a broken connection instead of its answer.
import type { FastifyReply, FastifyRequest } from 'fastify';

/** So much of a body is read for the sake of the next request. */
const READ_ON_BYTES_MAX = 64 * 1024;

/** To be called before an error is sent. */
export function closeAfterEarlyResponse(request: FastifyRequest, reply: FastifyReply): void {
  const { raw, client } = request;
  if (!client || raw.complete || !hasBody(request)) return;
  const isLast = !reply.raw.shouldKeepAlive || reply.getHeader('connection') === 'close';
  if (!isLast && !client.isBroken && isShort(request)) return;
  void reply.header('connection', 'close');
  client.endBehind(raw);
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** A client that asked whether to send its body may send the next request instead. */
function isShort({ headers }: FastifyRequest): boolean {
  const length = headers['content-length'];
  return length !== undefined && Number(length) <= READ_ON_BYTES_MAX && headers.expect === undefined;
}
