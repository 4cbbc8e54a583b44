// A TCP proxy between clients and the service that cuts connections where HTTP leaves the client in
// doubt. A client of these tests writes a request at once, so a chunk from it is one request, and
// what comes back next is its reply.
import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { afterAll } from 'vitest';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';

const CUTS = [
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

export type Cut = (typeof CUTS)[number];

export interface CuttingProxy {
  readonly port: number;
  /** Of a request to be cut, 0 … 1. */
  chance: number;
  readonly counts: Record<Cut, number>;
  readonly cuts: number;
  close(): Promise<void>;
}

const DURING_MS_MAX = 8;

export async function startCuttingProxy(
  targetPort: number,
  seed: number,
  chance: number,
): Promise<CuttingProxy> {
  const random = pseudoRandom(seed);
  const share = () => (random() + 1) / 2;
  const counts = Object.fromEntries(CUTS.map((cut) => [cut, 0])) as Record<Cut, number>;
  const sockets = new Set<Socket>();

  const server = createServer({ noDelay: true }, (client) => {
    const service = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    let cut: Cut | undefined;
    const end = () => {
      client.destroy();
      service.destroy();
    };
    for (const socket of [client, service]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        sockets.delete(socket);
        if (cut !== 'unnoticed') end();
      });
    }
    client.on('data', (request: Buffer) => {
      if (cut) return;
      if (share() >= proxy.chance) {
        service.write(request);
        return;
      }
      cut = CUTS[Math.floor(share() * CUTS.length)]!;
      counts[cut]++;
      if (cut === 'in request') {
        service.write(request.subarray(0, 1 + Math.floor(share() * (request.length - 1))), end);
        return;
      }
      service.write(request, () => {
        if (cut === 'after request') end();
        if (cut === 'during call') setTimeout(end, share() * DURING_MS_MAX);
        if (cut === 'unnoticed') client.destroy();
      });
    });
    service.on('data', (reply: Buffer) => {
      if (cut === 'in reply') {
        client.write(reply.subarray(0, Math.floor(share() * reply.length)), end);
      } else if (cut === 'unnoticed') end();
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
  afterAll(close);
  const proxy: CuttingProxy = {
    port: (server.address() as AddressInfo).port,
    chance,
    counts,
    get cuts() {
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    },
    close,
  };
  return proxy;
}
