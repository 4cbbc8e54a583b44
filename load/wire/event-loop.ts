// Latency of /health/live while large JSON bodies are read. It is requested at fixed times, first from an idle
// server and then with sixteen bodies of 8 MB in flight.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { objectToJson, tensorToJson } from '../../src/codec/json/print.ts';
import { referenceModel } from '../../src/wasm/reference/model.ts';
import { expectNear, expectSameBits } from '../../src/cli/bench/same-bits.ts';
import { type SequenceCase, makeSequenceCase } from '../cases/sequence-case.ts';
import { post, stateOfJson } from '../clients/api.ts';
import { startProgress } from '../report/progress.ts';
import { percentile } from '../../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../../src/cli/table.ts';
import { type Flood, startFlood } from './flood.ts';
import type { PollerData } from './poller.ts';
import { PEER_DIFFERENCE_MAX, type Services, withServices } from './services.ts';
import { type Target, atMost } from '../report/targets.ts';

const MODEL = 'loop';
/** H is small, so that reading the JSON is most of the work: about 8 MB in, one row out. */
const SIZES = { T: 11_180, N: 1, D: 64, H: 16 };
const IN_FLIGHT = 16;
const POLL_MS = 5;
const IDLE_SECONDS = 1;
const NAMES = ['peer', 'ours'] as const;
type Name = (typeof NAMES)[number];

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
  readonly name: Name;
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
  const { D, H, weights } = sequence.layer;
  return withServices(new Map([[MODEL, { D, H, ...weights }]]), (services) =>
    measureSequence(measurement, sequence, services),
  );
}

async function measureSequence(
  { rounds, seconds }: LoopMeasurement,
  sequence: SequenceCase,
  services: Services,
): Promise<LoopResult> {
  const body = Buffer.from(sequenceBody(sequence));
  const urls = { peer: services.peerUrl, ours: services.oursUrl };
  const expected = await checkAnswers(urls, sequence, body);
  const samples = { peer: emptySamples(), ours: emptySamples() };
  const progress = await startProgress('event loop', rounds * NAMES.length);
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const name of NAMES) {
      const flood = { url: `${urls[name]}/v1/sequence`, body, expectBody: expected[name] };
      await sample(samples[name], urls[name], flood, seconds);
      progress.update(++done);
    }
  }
  progress.stop();
  const rows = NAMES.flatMap((name) => rowsOf(name, samples[name]));
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
  const poller = await startPoller({ url: `${url}/health/live`, everyMs: POLL_MS });
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

/** The first bodies are the warm-up. */
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

/**
 * The answers of both, which every later one must equal.
 *
 * @throws Error unless ours has the bits of the reference and the peer's is close to it
 */
async function checkAnswers(
  urls: Readonly<Record<Name, string>>,
  sequence: SequenceCase,
  body: Buffer,
) {
  const ask = async (name: Name) =>
    (await post(`${urls[name]}/v1/sequence`, body)).toString();
  const [ours, peer] = [await ask('ours'), await ask('peer')];
  const h = stateOfJson(ours);
  expectSameBits('h of our sequence', h, lastState(sequence));
  expectNear("h of the peer's sequence", stateOfJson(peer), h, PEER_DIFFERENCE_MAX);
  return { ours, peer };
}

function sequenceBody({ T, N, layer: { D }, x }: SequenceCase): string {
  return objectToJson({
    model: JSON.stringify(MODEL),
    outputs: '["h"]',
    x: tensorToJson({ shape: [T, N, D], strides: [N * D, D, 1], data: x }),
  });
}

/** The last state of the one row, from h = 0, by the plain reference. */
function lastState({ T, N, layer, x }: SequenceCase): Float32Array {
  return referenceModel([layer], { T, N, x }).h[0]!;
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
  return `GET /health/live every ${POLL_MS} ms, all rounds together; latencies in ms
${IN_FLIGHT} JSON bodies of ${megabytes} MB in flight, POST /v1/sequence

${formatTable([headings, ...table])}`;
}

export function loopTargets({ rows }: LoopResult): Target[] {
  const ours = rows.find(({ name, state }) => name === 'ours' && state !== 'idle');
  return [atMost('/health/live p99 in ms, bodies in flight', ours?.p99Ms, 20)].filter(
    (target) => target !== undefined,
  );
}
