// A TCP proxy between clients and the service that terminates connections where HTTP leaves the
// outcome unknown to the client. A client of these tests writes a request at once, or its head and its body, so a chunk from
// it is one request or a half of it, and what is received next is its reply.
import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { closeAtEnd } from './cleanup.ts';

const LOSSES = [
  /** The service gets a part of the request. */
  'in request',
  /** The service gets the request and, at once, the end of the connection. */
  'after request',
  /** As before, a few milliseconds later: the call is waiting, computing or being committed. */
  'during call',
  /** The client disconnects, and the connection to the service stays open: its answer is discarded. */
  'unnoticed',
  /** The client gets a part of the reply. */
  'in reply',
] as const;

export type Loss = (typeof LOSSES)[number];

export interface LossyProxy {
  readonly port: number;
  /** That the connection of a request is lost, 0 … 1. */
  chance: number;
  readonly counts: Record<Loss, number>;
  readonly losses: number;
  close(): Promise<void>;
}

const DURING_MS_MAX = 8;

export async function startLossyProxy(
  targetPort: number,
  seed: number,
  chance: number,
): Promise<LossyProxy> {
  const random = pseudoRandom(seed);
  const share = () => (random() + 1) / 2;
  const counts = Object.fromEntries(LOSSES.map((loss) => [loss, 0])) as Record<Loss, number>;
  const sockets = new Set<Socket>();

  const server = createServer({ noDelay: true }, (client) => {
    const service = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    let loss: Loss | undefined;
    const end = () => {
      client.destroy();
      service.destroy();
    };
    for (const socket of [client, service]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        sockets.delete(socket);
        if (loss !== 'unnoticed') end();
      });
    }
    client.on('data', (request: Buffer) => {
      if (loss === 'in reply' || loss === 'during call') service.write(request);
      if (loss) return;
      if (share() >= proxy.chance) {
        service.write(request);
        return;
      }
      loss = LOSSES[Math.floor(share() * LOSSES.length)]!;
      counts[loss]++;
      if (loss === 'in request') {
        service.write(request.subarray(0, 1 + Math.floor(share() * (request.length - 1))), end);
        return;
      }
      service.write(request, () => {
        if (loss === 'after request') end();
        if (loss === 'during call') setTimeout(end, share() * DURING_MS_MAX);
        if (loss === 'unnoticed') client.destroy();
      });
    });
    service.on('data', (reply: Buffer) => {
      if (loss === 'in reply') {
        client.write(reply.subarray(0, Math.floor(share() * reply.length)), end);
      } else if (loss === 'unnoticed') end();
      else client.write(reply);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    if (!server.listening) return;
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  };
  closeAtEnd(close);
  const proxy: LossyProxy = {
    port: (server.address() as AddressInfo).port,
    chance,
    counts,
    get losses() {
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    },
    close,
  };
  return proxy;
}
