// Does the event loop answer while large JSON bodies are read? /health/live is asked at fixed times
// with nothing else to do, and with sixteen bodies of 8 MB in flight.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { objectToJson, tensorToJson } from '../../src/codec/json/print.ts';
import { referenceStep } from '../../src/wasm/reference.ts';
import { startProgress } from '../progress.ts';
import { type SequenceCase, makeSequenceCase } from '../sequence-case.ts';
import { percentile } from '../statistics.ts';
import { formatNumber, formatTable } from '../table.ts';
import {
  type Contestants,
  JSON_HEADERS,
  expectNear,
  post,
  stateOfJson,
  withContestants,
} from './contestants.ts';
import { type Flood, startFlood } from './flood.ts';
import type { PollerData } from './poller.ts';
import { type Target, atMost } from './targets.ts';

const MODEL = 'loop';
/** H is small, so that the text is the work: about 8 MB in, one row out. */
const SIZES = { T: 11_180, N: 1, D: 64, H: 16 };
const IN_FLIGHT = 16;
const EVERY_MS = 5;
const IDLE_SECONDS = 1;
const CONTESTANTS = ['peer', 'ours'] as const;

export interface LoopMeasurement {
  readonly rounds: number;
  readonly seconds: number;
}

export interface LoopResult {
  readonly bodyBytes: number;
  readonly rows: readonly LoopRow[];
}

/** Of all rounds together. */
export interface LoopRow {
  readonly name: (typeof CONTESTANTS)[number];
  readonly state: 'idle' | 'bodies in flight';
  readonly polls: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly bodiesPerS: number;
}

/** @throws Error if an answer is wrong */
export function measureEventLoop(measurement: LoopMeasurement): Promise<LoopResult> {
  const sequence = makeSequenceCase(SIZES);
  return withContestants(new Map([[MODEL, sequence.weights]]), (contestants) =>
    measureSequence(measurement, sequence, contestants),
  );
}

async function measureSequence(
  { rounds, seconds }: LoopMeasurement,
  sequence: SequenceCase,
  contestants: Contestants,
): Promise<LoopResult> {
  const body = Buffer.from(sequenceBody(sequence));
  const urls = { peer: contestants.peerUrl, ours: contestants.oursUrl };
  const jsonCodec = await checkAnswers(urls, sequence, body);
  const samples = { peer: emptySamples(), ours: emptySamples() };
  const progress = startProgress('event loop', rounds * CONTESTANTS.length);
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const name of CONTESTANTS) {
      const flood = { url: `${urls[name]}/v1/sequence`, body, expectBody: jsonCodec[name] };
      await sample(samples[name], urls[name], flood, seconds);
      progress.update(++done);
    }
  }
  progress.stop();
  const rows = CONTESTANTS.flatMap((name) => rowsOf(name, samples[name]));
  return { bodyBytes: body.length, rows };
}

interface Samples {
  readonly idleMs: number[];
  readonly busyMs: number[];
  bodies: number;
  busySeconds: number;
}

const emptySamples = (): Samples => ({ idleMs: [], busyMs: [], bodies: 0, busySeconds: 0 });

async function sample(
  samples: Samples,
  url: string,
  target: { readonly url: string; readonly body: Buffer; readonly expectBody: string },
  seconds: number,
): Promise<void> {
  const poller = await startPoller({ url: `${url}/health/live`, everyMs: EVERY_MS });
  try {
    samples.idleMs.push(...(await poller.poll(IDLE_SECONDS)));
    const flood = startFlood({ ...target, inFlight: IN_FLIGHT });
    try {
      samples.busyMs.push(...(await Promise.race([busy(samples, flood), flood.failed])));
    } finally {
      await flood.stop();
    }
  } finally {
    await poller.stop();
  }

  async function busy(samples: Samples, flood: Flood): Promise<readonly number[]> {
    await untilAnswered(flood, IN_FLIGHT);
    const before = flood.answered;
    const startMs = performance.now();
    const latenciesMs = await poller.poll(seconds);
    samples.busySeconds += (performance.now() - startMs) / 1000;
    samples.bodies += flood.answered - before;
    return latenciesMs;
  }
}

/** The first bodies warm the process up. */
async function untilAnswered(flood: Flood, count: number): Promise<void> {
  while (flood.answered < count) {
    await Promise.race([flood.failed, new Promise((resolve) => setTimeout(resolve, 20))]);
  }
}

async function startPoller(workerData: PollerData) {
  const worker = new Worker(new URL('poller.ts', import.meta.url), { workerData });
  await once(worker, 'message');
  return {
    async poll(seconds: number): Promise<readonly number[]> {
      worker.postMessage(seconds);
      const [latenciesMs] = (await once(worker, 'message')) as [readonly number[]];
      return latenciesMs;
    },
    stop: () => worker.terminate(),
  };
}

/** What each of them answers, once it is known to be right. */
async function checkAnswers(
  urls: Readonly<Record<(typeof CONTESTANTS)[number], string>>,
  sequence: SequenceCase,
  body: Buffer,
) {
  const ask = async (name: (typeof CONTESTANTS)[number]) =>
    (await post(`${urls[name]}/v1/sequence`, JSON_HEADERS, body)).toString();
  const [ours, peer] = [await ask('ours'), await ask('peer')];
  const expected = lastState(sequence);
  const h = stateOfJson(ours);
  const wrong = expected.findIndex((value, j) => !Object.is(value, h[j]));
  if (wrong >= 0 || h.length !== expected.length) {
    throw new Error(
      `sequence: element ${wrong} of h is ${h[wrong]}, the reference has ${expected[wrong]}.`,
    );
  }
  expectNear("the peer's sequence", stateOfJson(peer), h);
  return { ours, peer };
}

function sequenceBody({ T, N, D, x }: SequenceCase): string {
  return objectToJson({
    model: JSON.stringify(MODEL),
    outputs: '["h"]',
    x: tensorToJson({ shape: [T, N, D], strides: [N * D, D, 1], data: x }),
  });
}

/** From zeros, of one row. */
function lastState({ T, D, H, weights, x }: SequenceCase): Float32Array {
  let state: Float32Array = new Float32Array(H);
  for (let t = 0; t < T; t++) {
    state = referenceStep(weights, x.subarray(t * D, (t + 1) * D), state).state;
  }
  return state;
}

function rowsOf(name: LoopRow['name'], samples: Samples): LoopRow[] {
  const { idleMs, busyMs, bodies, busySeconds } = samples;
  const row = (state: LoopRow['state'], latenciesMs: readonly number[], bodiesPerS: number) => ({
    name,
    state,
    polls: latenciesMs.length,
    p50Ms: percentile(latenciesMs, 50),
    p99Ms: percentile(latenciesMs, 99),
    maxMs: percentile(latenciesMs, 100),
    bodiesPerS,
  });
  return [row('idle', idleMs, 0), row('bodies in flight', busyMs, bodies / busySeconds)];
}

export function formatLoop({ bodyBytes, rows }: LoopResult): string {
  const megabytes = formatNumber(bodyBytes / 1e6);
  const headings = ['', 'p50', 'p99', 'max', 'polls', 'bodies/s'];
  const table = rows.map(({ name, state, p50Ms, p99Ms, maxMs, polls, bodiesPerS }) => [
    `${name}, ${state}`,
    ...[p50Ms, p99Ms, maxMs].map(formatNumber),
    polls.toLocaleString('en'),
    state === 'idle' ? '' : formatNumber(bodiesPerS),
  ]);
  return `GET /health/live every ${EVERY_MS} ms, all rounds together; latencies in ms
${IN_FLIGHT} JSON bodies of ${megabytes} MB in flight, POST /v1/sequence

${formatTable([headings, ...table])}`;
}

export function loopTargets({ rows }: LoopResult): Target[] {
  const ours = rows.find(({ name, state }) => name === 'ours' && state !== 'idle');
  return [atMost('/health/live p99 in ms, bodies in flight', ours?.p99Ms, 20)].filter(
    (target) => target !== undefined,
  );
}
