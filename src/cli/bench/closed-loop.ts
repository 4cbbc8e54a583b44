// A closed loop of requests over plain sockets: each of some connections sends its next request when it has received its
// response, and every response is compared. `carryover bench` and `bench:wire` use it; `npm run load` uses autocannon, whose reading
// of a response costs 0.8 ms for 66 kB of float32, and for latency at a constant rate load/clients/open-loop.ts.
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { CONNECTIONS, type HttpRound, type HttpTarget, nextRequestOf } from './http-target.ts';
import { RequestConnection } from './request-connection.ts';
import { percentile } from './statistics.ts';

/**
 * Sends requests for `seconds` and waits for the responses of those in flight.
 *
 * @param count of connections
 * @throws Error if a response is not 2xx, is not the expected one, or does not come
 */
export async function runClosedLoop(target: HttpTarget, seconds: number, count = CONNECTIONS): Promise<HttpRound> {
  const nextRequest = nextRequestOf(target);
  const { hostname, port } = new URL(target.url);
  const sockets = Array.from({ length: count }, () => connect(Number(port || 80), hostname));
  try {
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const startMs = performance.now();
    const endMs = startMs + 1_000 * seconds;
    const connections = sockets.map((socket) => new Caller(target, socket, nextRequest, endMs));
    await Promise.all(connections.map(({ done }) => done));
    const latenciesMs = connections.flatMap((connection) => connection.latenciesMs);
    const lastMs = Math.max(...connections.map((connection) => connection.countedMs));
    const bytesOf = (kind: 'requestsBytes' | 'responsesBytes') =>
      connections.reduce((sum, connection) => sum + connection[kind], 0) / latenciesMs.length;
    return {
      requestsPerS: (1_000 * latenciesMs.length) / (Math.max(endMs, lastMs) - startMs),
      p50Ms: percentile(latenciesMs, 50),
      p90Ms: percentile(latenciesMs, 90),
      p99Ms: percentile(latenciesMs, 99),
      requestBytes: bytesOf('requestsBytes'),
      responseBytes: bytesOf('responsesBytes'),
    };
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** One connection, always with one request in flight. */
class Caller {
  /** Resolves with the first response after the end of the round, which is counted only if there was none before. */
  readonly done: Promise<void>;
  readonly latenciesMs: number[] = [];
  /** When the last response that is counted was received. */
  countedMs = 0;
  /** Of the requests and responses counted, headers included. */
  requestsBytes = 0;
  responsesBytes = 0;
  readonly #connection: RequestConnection;
  readonly #nextRequest: () => Buffer;
  readonly #endMs: number;
  readonly #resolve: () => void;
  #request: Buffer = Buffer.alloc(0);
  #sentMs = 0;

  constructor(target: HttpTarget, socket: Socket, nextRequest: () => Buffer, endMs: number) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#nextRequest = nextRequest;
    this.#endMs = endMs;
    const onResponse = (_status: number, bytes: number) => this.#finish(bytes);
    this.#connection = new RequestConnection(target.name, socket, target, { onResponse, onFailure: reject });
    this.#send();
  }

  #send(): void {
    this.#request = this.#nextRequest();
    this.#sentMs = performance.now();
    this.#connection.send(this.#request);
  }

  #finish(bytes: number): void {
    const nowMs = performance.now();
    const isOver = nowMs > this.#endMs;
    if (!isOver || this.latenciesMs.length === 0) {
      this.latenciesMs.push(nowMs - this.#sentMs);
      this.requestsBytes += this.#request.length;
      this.responsesBytes += bytes;
      this.countedMs = nowMs;
    }
    if (!isOver) return this.#send();
    this.#connection.end();
    this.#resolve();
  }
}
