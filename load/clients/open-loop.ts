// An open loop of requests: they arrive at a constant rate, whether or not earlier ones were answered, as those of many users
// do. The latency of each counts from the moment at which it was due, so what it waits for, a connection, the generator or the
// service, is part of it.
//
// A closed loop hides this (coordinated omission): while one answer takes long, its caller sends nothing, so one late answer
// stands for all requests that would have come meanwhile. autocannon's rates do not change that: each connection sends its share
// of a second at the beginning of the second, one request after the answer to the one before, and what was not sent in time is
// made up in the histogram, at an interval of 1 ms whatever the rate is. So the generator is that of `carryover bench`, with
// arrivals in place of callers.
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { type HttpTarget, nextRequestOf } from '../../src/cli/bench/http-target.ts';
import { RequestConnection } from '../../src/cli/bench/request-connection.ts';
import { percentile } from '../../src/cli/bench/statistics.ts';
import type { Pace } from './pacemaker.ts';

export interface OpenLoop {
  /** Requests a second, of all targets together. */
  readonly perS: number;
  /** For so long requests arrive. */
  readonly seconds: number;
  /** Of each target; a request that finds none idle waits for one. */
  readonly connections: number;
}

export interface OpenRound {
  readonly perS: number;
  readonly count: number;
  /** Answers with 2xx a second, within the time in which requests arrived. */
  readonly answeredPerS: number;
  /** Answers with 429 or 503: they have no latency. */
  readonly refused: number;
  /** Requests that were not sent in twice the time: their latency is what they had waited by then. */
  readonly unsent: number;
  /** NaN if nothing was answered; the last is NaN with fewer than 1,000 answers. */
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

/** From when all is ready until the first request is due. */
const LEAD_MS = 5;

/**
 * Sends requests to the targets in turn, and waits for all responses.
 *
 * @throws Error if a response is not the expected one, or does not come
 */
export async function runOpenLoop(targets: readonly HttpTarget[], { perS, seconds, connections }: OpenLoop): Promise<OpenRound> {
  const sockets = targets.map(({ url }) => Array.from({ length: connections }, () => connectTo(url)));
  try {
    await Promise.all(sockets.flat().map((socket) => once(socket, 'connect')));
    return await new Arrivals(targets, sockets, perS, seconds).run();
  } finally {
    for (const socket of sockets.flat()) socket.destroy();
  }
}

function connectTo(url: string): Socket {
  const { hostname, port } = new URL(url);
  return connect(Number(port || 80), hostname);
}

/** One target, which gets every n-th request. */
interface Lane {
  readonly nextRequest: () => Buffer;
  readonly idle: ((request: number) => void)[];
  /** Number of the next request that is to be sent. */
  next: number;
}

class Arrivals {
  readonly #perS: number;
  readonly #seconds: number;
  readonly #count: number;
  readonly #lanes: readonly Lane[];
  readonly #end = Promise.withResolvers<void>();
  readonly #latenciesMs: number[] = [];
  /** When the first request is due. */
  #startMs = 0;
  #due = 0;
  #sent = 0;
  #settled = 0;
  #inTime = 0;
  #refused = 0;
  #isCut = false;

  constructor(targets: readonly HttpTarget[], sockets: readonly (readonly Socket[])[], perS: number, seconds: number) {
    this.#perS = perS;
    this.#seconds = seconds;
    this.#count = Math.max(1, Math.round(perS * seconds));
    this.#lanes = targets.map((target, k) => ({ nextRequest: nextRequestOf(target), idle: [], next: k }));
    for (const [k, target] of targets.entries()) for (const socket of sockets[k]!) this.#connect(target, socket, this.#lanes[k]!);
  }

  async run(): Promise<OpenRound> {
    const due = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const workerData: Pace = { due, intervalNs: 1e9 / this.#perS, count: this.#count };
    const pacemaker = new Worker(new URL('./pacemaker.ts', import.meta.url), { workerData });
    await once(pacemaker, 'message');
    pacemaker.once('error', this.#end.reject);
    this.#startMs = performance.now() + LEAD_MS;
    pacemaker.postMessage(process.hrtime.bigint() + BigInt(LEAD_MS * 1e6));
    const cut = setTimeout(() => this.#cut(), LEAD_MS + 2_000 * this.#seconds);
    try {
      this.#follow(due).catch(this.#end.reject);
      await this.#end.promise;
    } finally {
      clearTimeout(cut);
      await pacemaker.terminate();
    }
    return this.#result();
  }

  #connect(target: HttpTarget, socket: Socket, lane: Lane): void {
    let request = 0;
    const send = (number: number) => {
      request = number;
      connection.send(lane.nextRequest());
    };
    const onResponse = (status: number) => {
      this.#answered(request, status);
      lane.idle.push(send);
      this.#sendDue();
    };
    const connection = new RequestConnection(target.name, socket, { ...target, mayRefuse: true }, { onResponse, onFailure: this.#end.reject });
    lane.idle.push(send);
  }

  async #follow(due: Int32Array<SharedArrayBuffer>): Promise<void> {
    while (this.#due < this.#count && !this.#isCut) {
      const { async, value } = Atomics.waitAsync(due, 0, this.#due);
      if (async) await value;
      this.#due = Atomics.load(due, 0);
      this.#sendDue();
    }
  }

  #sendDue(): void {
    if (this.#isCut) return;
    for (const lane of this.#lanes) {
      while (lane.next < this.#due && lane.idle.length > 0) {
        lane.idle.pop()!(lane.next);
        lane.next += this.#lanes.length;
        this.#sent++;
      }
    }
  }

  #answered(request: number, status: number): void {
    const nowMs = performance.now();
    this.#settled++;
    if (status >= 400) this.#refused++;
    else {
      this.#latenciesMs.push(nowMs - this.#dueMsOf(request));
      if (nowMs <= this.#startMs + 1_000 * this.#seconds) this.#inTime++;
    }
    if (this.#settled === (this.#isCut ? this.#sent : this.#count)) this.#end.resolve();
  }

  #dueMsOf(request: number): number {
    return this.#startMs + (1_000 * request) / this.#perS;
  }

  /** The requests that wait are not sent any more. */
  #cut(): void {
    this.#isCut = true;
    const nowMs = performance.now();
    for (const lane of this.#lanes) {
      for (let n = lane.next; n < this.#count; n += this.#lanes.length) this.#latenciesMs.push(nowMs - this.#dueMsOf(n));
    }
    if (this.#settled === this.#sent) this.#end.resolve();
  }

  #result(): OpenRound {
    return {
      perS: this.#perS,
      count: this.#count,
      answeredPerS: this.#inTime / this.#seconds,
      refused: this.#refused,
      unsent: this.#count - this.#sent,
      p50Ms: percentile(this.#latenciesMs, 50),
      p90Ms: percentile(this.#latenciesMs, 90),
      p99Ms: percentile(this.#latenciesMs, 99),
      p999Ms: this.#latenciesMs.length < 1_000 ? NaN : percentile(this.#latenciesMs, 99.9),
    };
  }
}
