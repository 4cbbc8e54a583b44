// A TCP proxy that breaks connections at the moments that matter: between a request and its reply.
// What a client writes at once counts as one request, the next bytes from the server as its reply.
import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { closeAtEnd } from './cleanup.ts';

export type Fault =
  /** The request does not arrive; both ends see the connection close. */
  | 'closed before'
  /** The request is executed; its reply is lost with the connection. */
  | 'closed after'
  /** As 'closed after', with an RST instead of a FIN. */
  | 'reset after'
  /** The request is executed; from its reply on nothing is passed back, and the connection stays open. */
  | 'mute'
  /** From this request on nothing passes in either direction, and both connections stay open (half-open). */
  | 'blackhole'
  /** The reply comes late. */
  | 'delay';

export interface FaultProxy {
  readonly port: number;
  /** Where new connections lead. */
  targetPort: number;
  /** Asked for every request; undefined lets it pass. */
  choose: (request: Buffer) => Fault | undefined;
  /** How long 'delay' takes. */
  delayMs: number;
  /** How often each fault was done. */
  readonly counts: Record<Fault, number>;
  /** Terminates all connections, and refuses new ones until open(). */
  refuse(): Promise<void>;
  open(): Promise<void>;
  close(): Promise<void>;
}

export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  let server: Server;
  let port = 0;
  const open = async () => {
    server = createServer({ noDelay: true }, (client) => new Exchange(client, proxy, sockets));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  };
  const refuse = async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    if (server.listening) await once(server, 'close');
  };
  const proxy: FaultProxy = {
    get port() {
      return port;
    },
    targetPort,
    choose: () => undefined,
    delayMs: 100,
    counts: {
      'closed before': 0,
      'closed after': 0,
      'reset after': 0,
      mute: 0,
      blackhole: 0,
      delay: 0,
    },
    refuse,
    open,
    close: refuse,
  };
  closeAtEnd(refuse);
  await open();
  return proxy;
}

/** Chooses each fault with its probability, the same ones for the same seed and requests. */
export function randomFaults(
  seed: number,
  chances: Partial<Record<Fault, number>>,
): (request: Buffer) => Fault | undefined {
  const random = pseudoRandom(seed);
  return () => {
    let left = (random() + 1) / 2;
    for (const [fault, chance] of Object.entries(chances)) {
      left -= chance;
      if (left < 0) return fault as Fault;
    }
    return undefined;
  };
}

/** One connection of a client, and the one to the server behind it. */
class Exchange {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #proxy: FaultProxy;
  /** What is to happen to the next reply. */
  #pending: Fault | undefined;
  #isDeaf = false;
  #isMute = false;
  /** Replies keep their order, also behind a late one. */
  #replies = Promise.resolve();

  constructor(client: Socket, proxy: FaultProxy, sockets: Set<Socket>) {
    this.#client = client;
    this.#server = connect({ port: proxy.targetPort, host: '127.0.0.1', noDelay: true });
    this.#proxy = proxy;
    for (const socket of [client, this.#server]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        sockets.delete(socket);
        if (!this.#isDeaf) this.#end();
      });
    }
    client.on('data', (request) => this.#forward(request));
    this.#server.on('data', (reply) => this.#answer(reply));
  }

  #forward(request: Buffer): void {
    if (this.#isDeaf) return;
    // The reply to an earlier request is still to be lost: that comes first.
    const fault = this.#pending === undefined ? this.#proxy.choose(request) : undefined;
    if (fault) this.#proxy.counts[fault]++;
    if (fault === 'closed before') return this.#end();
    if (fault === 'blackhole') {
      this.#isDeaf = true;
      this.#isMute = true;
      return;
    }
    this.#pending ??= fault;
    this.#server.write(request);
  }

  #answer(reply: Buffer): void {
    const fault = this.#pending;
    this.#pending = undefined;
    if (fault === 'closed after') return this.#end();
    if (fault === 'reset after') {
      this.#client.resetAndDestroy();
      return this.#end();
    }
    if (fault === 'mute') this.#isMute = true;
    const delayMs = fault === 'delay' ? this.#proxy.delayMs : 0;
    this.#replies = this.#send(this.#replies, reply, delayMs);
  }

  async #send(earlier: Promise<void>, reply: Buffer, delayMs: number): Promise<void> {
    await earlier;
    if (delayMs > 0) await sleep(delayMs);
    if (!this.#isMute) this.#client.write(reply);
  }

  #end(): void {
    this.#client.destroy();
    this.#server.destroy();
  }
}
