import type { FastifyReply } from 'fastify';

/** Adds a request header, in lower case, to those that the response depends on. */
export function varyBy(reply: FastifyReply, name: string): void {
  const others = reply.getHeader('vary');
  void reply.header('vary', others === undefined ? name : `${String(others)}, ${name}`);
}
