// What the routes of WebSockets have in common: which handshakes they refuse, and what they answer to other requests.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CarryoverError } from '../../errors.ts';
import type { Cors } from '../cors.ts';
import { expectAllowedPage } from '../websocket/page-origin.ts';

/** An onRequest hook. @throws origin_not_allowed for a page of another origin */
export function refuseOtherPages(cors: Cors) {
  return async ({ ws, raw, server }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (!ws) return;
    // A refused connection is not used again.
    void reply.header('connection', 'close');
    expectAllowedPage(raw, cors, server.publicAddress);
  };
}

/** The handler of a request that is no handshake. @throws upgrade_required */
export async function refuseWithoutUpgrade(_: FastifyRequest, reply: FastifyReply): Promise<never> {
  void reply.header('upgrade', 'websocket').header('connection', 'upgrade, close');
  throw new CarryoverError('upgrade_required', {
    detail:
      'Expected a WebSocket handshake: GET with `Upgrade: websocket` and without a body. ' +
      '(A server under Node.js before 24.9 accepts none.)',
  });
}
