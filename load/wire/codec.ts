// The JSON codec alone, on one thread: reading the numbers of a body and printing those of an answer, beside
// JSON.parse with a loop into a Float32Array and JSON.stringify of the same nested arrays.
//
// The two sides alternate, A B A B …, and ratios are taken within a round. Ours starts from bytes and copies them into
// linear memory; JSON.parse starts from a string. Ours leaves the printed answer in linear memory, where the service
// sends it from; JSON.stringify makes a string and no bytes. Results are compared before anything is timed.
import { objectToJson, tensorToJson } from '../../src/codec/json/print.ts';
import { type ParsedTensor, numbersOf, tensorOf } from '../../src/codec/json/placeholders.ts';
import { toJsonSegments } from '../../src/codec/response-body.ts';
import { JsonCodec } from '../../src/engine/json-codec.ts';
import { Lifetime } from '../../src/lifetime.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { compileKernels, instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { fill } from '../../src/cli/bench/pseudo-random-tensors.ts';
import { type Spread, ratiosOf, spreadOf } from '../../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../../src/cli/table.ts';
import { type Target, atLeast } from '../report/targets.ts';

/** A deadline that no measurement reaches. */
const LIFETIME = new Lifetime({}, 3_600_000);
const ROWS = 256;
const COLUMNS = 128;
const COUNT = ROWS * COLUMNS;

export interface CodecResult {
  readonly name: string;
  /** Numbers per second. */
  readonly ours: Spread;
  readonly peer: Spread;
  readonly ratio: Spread;
  /** Bytes of the JSON; for reading both sides have the same. */
  readonly oursBytes: number;
  readonly peerBytes: number;
}

interface Contest {
  readonly name: string;
  readonly ours: () => unknown;
  readonly peer: () => unknown;
  readonly oursBytes: number;
  readonly peerBytes: number;
}

/** @throws Error if the two sides of a contest do not agree */
export async function benchCodec(rounds: number): Promise<readonly CodecResult[]> {
  const { jsonCodec, memory } = codecOnThisThread();
  const random = pseudoRandom(1);
  // Doubles with 53 random bits, as Math.random() makes them.
  const fine = () => random() + random() * 2 ** -31;
  const contests = [
    await readingOf(jsonCodec, 'read, 9 digits', fill(random, COUNT, 1), (x) => x.toPrecision(9)),
    await readingOf(jsonCodec, 'read, 17 digits', Float64Array.from({ length: COUNT }, fine), String),
    await writingOf(jsonCodec, 'write', inLinearMemory(memory, fill(random, COUNT, 1))),
  ];
  const samples = contests.map(() => ({ ours: [] as number[], peer: [] as number[] }));
  for (let round = -3; round < rounds; round++) {
    for (const [i, contest] of contests.entries()) {
      const ours = await numbersPerS(contest.ours);
      const peer = await numbersPerS(contest.peer);
      if (round < 0) continue;
      samples[i]!.ours.push(ours);
      samples[i]!.peer.push(peer);
    }
  }
  return contests.map(({ name, oursBytes, peerBytes }, i) => {
    const { ours, peer } = samples[i]!;
    const ratio = ratiosOf(ours, peer);
    return { name, ours: spreadOf(ours), peer: spreadOf(peer), ratio, oursBytes, peerBytes };
  });
}

export function describeCodec(results: readonly CodecResult[]): string {
  const rows = results.map(({ name, ours, peer, ratio, oursBytes, peerBytes }) => [
    name,
    formatNumber(ours.median / 1e6),
    formatNumber(peer.median / 1e6),
    formatNumber(ratio.median),
    `${formatNumber(ratio.min)} … ${formatNumber(ratio.max)}`,
    formatNumber(oursBytes / COUNT),
    formatNumber(peerBytes / COUNT),
  ]);
  const headings = ['million numbers/s', 'ours', 'JSON.*', 'ratio', 'min … max', 'bytes each', 'JSON.*'];
  return formatTable([headings, ...rows]);
}

/** Met under Node.js 24; later versions have a faster JSON.stringify. */
export function codecTargets(results: readonly CodecResult[]): readonly Target[] {
  const of = (name: string) => results.find((result) => result.name === name);
  const written = of('write');
  const saved = written && 100 * (1 - written.oursBytes / written.peerBytes);
  return [
    atLeast('codec: reading 9 digits ÷ JSON.parse', of('read, 9 digits')?.ratio.median, 2),
    atLeast('codec: reading 17 digits ÷ JSON.parse', of('read, 17 digits')?.ratio.median, 1.5),
    atLeast('codec: writing ÷ JSON.stringify', written?.ratio.median, 8),
    atLeast('codec: bytes saved, %', saved, 40),
  ].filter((target) => target !== undefined);
}

function inLinearMemory(memory: LinearMemory, values: Float32Array): Float32Array {
  const tensor = memory.f32(memory.allocate(values.byteLength), values.length);
  tensor.set(values);
  return tensor;
}

function codecOnThisThread(): { jsonCodec: JsonCodec; memory: LinearMemory } {
  const memory = new LinearMemory(64 * 1024 * 1024);
  const kernels = instantiateKernels(compileKernels(), memory.memory);
  const scheduler = {
    run: async (work: { split(count: number): readonly number[] }) => {
      work.split(1).forEach(kernels.run);
    },
  };
  return { jsonCodec: new JsonCodec({ memory, kernels, scheduler }), memory };
}

async function readingOf(
  jsonCodec: JsonCodec,
  name: string,
  values: Float32Array | Float64Array,
  print: (value: number) => string,
): Promise<Contest> {
  const decimals = Array.from(values, print);
  const rows = Array.from(
    { length: ROWS },
    (_, row) => `[${decimals.slice(row * COLUMNS, (row + 1) * COLUMNS).join(',')}]`,
  );
  const text = `{"x":[${rows.join(',')}]}`;
  const bytes = Buffer.from(text);
  const target = new Float32Array(COUNT);
  const ours = async () => {
    const block = jsonCodec.allocate(bytes.length);
    block.append(bytes);
    using body = await jsonCodec.parse(block, LIFETIME);
    const { x } = body.value as { x: object };
    target.set(numbersOf(tensorOf(x) as ParsedTensor));
  };
  const peerTarget = new Float32Array(COUNT);
  const peer = () => {
    const { x } = JSON.parse(text) as { x: number[][] };
    let at = 0;
    for (const row of x) for (const value of row) peerTarget[at++] = value;
  };
  await ours();
  peer();
  const wrong = peerTarget.findIndex((value, i) => !Object.is(value, target[i]));
  if (wrong >= 0) throw new Error(`${name}: ${decimals[wrong]} was read as ${target[wrong]}.`);
  return { name, ours, peer, oursBytes: bytes.length, peerBytes: bytes.length };
}

async function writingOf(jsonCodec: JsonCodec, name: string, values: Float32Array): Promise<Contest> {
  const tensor = { shape: [ROWS, COLUMNS], strides: [COLUMNS, 1], data: values };
  const nested = Array.from({ length: ROWS }, (_, row) => [
    ...values.subarray(row * COLUMNS, (row + 1) * COLUMNS),
  ]);
  const segments = toJsonSegments({ tensors: { h: tensor } });
  const ours = async () => {
    const printed = await jsonCodec.stringify(segments, LIFETIME);
    printed.release();
  };
  const peer = () => JSON.stringify({ h: nested });
  const printed = await jsonCodec.stringifyToBuffer(segments, LIFETIME);
  if (printed.toString() !== objectToJson({ h: tensorToJson(tensor) })) {
    throw new Error(`${name}: the JSON is not that of tensorToJson().`);
  }
  return { name, ours, peer, oursBytes: printed.length, peerBytes: peer().length };
}

async function numbersPerS(run: () => unknown): Promise<number> {
  const repeats = 8;
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await run();
  return (1_000 * repeats * COUNT) / (performance.now() - start);
}
