// What a job touches: it writes to its own block and to nothing else, its result does not depend on what was in memory
// before, and it reads nothing behind the ends of its model, its x, its h and its block.
import { describe, expect, test } from 'vitest';
import { inputsOf } from '../../src/layers.ts';
import { layoutOf } from '../../src/wasm/job-layout.ts';
import { Job, type JobShape } from '../../src/wasm/job.ts';
import { instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel, packedModelAt, packedModelBytes } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { compiledKernels } from '../helpers/kernels.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';
import { type JobBits, type StackCase, bitsOfJob, differences, fillStackJob, layersOf, stackCases } from '../helpers/stack-cases.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const MEMORY_BYTES = 16 * 1024 * 1024;
/** Below are the constants of the kernels. */
const BLOCKS_START = 65_536;
/** Between two blocks: more than a row of any layer, so that a write beyond a block is not within the next. */
const GAP_BYTES = 4_096;

/** Memory whose only block is where the test wants it. */
class PlacedMemory extends LinearMemory {
  blockPtr = 0;

  constructor() {
    super(MEMORY_BYTES);
    super.free(super.allocate(this.bytesMax - BLOCKS_START));
  }

  override allocate(): number {
    return this.blockPtr;
  }

  override free(): void {}
}

const memory = new PlacedMemory();
const kernels = instantiateKernels(compiledKernels, memory.memory);
const all = memory.bytes;

/** Words that are no two alike, with every kind of float32 among them. */
function patternOf(seed: number): Buffer {
  const random = pseudoRandom(seed);
  return Buffer.from(Uint32Array.from({ length: MEMORY_BYTES / F32 }, () => (random() + 1) * 2 ** 31).buffer);
}

const PATTERNS = [patternOf(1), patternOf(2)];
/** What memory should hold, but for the job's block. Between two runs it is the first pattern behind the constants. */
const expected = Buffer.from(all);
for (const buffer of [all, expected]) PATTERNS[0]!.copy(buffer, BLOCKS_START, BLOCKS_START);

type Block = 'model' | 'x' | 'h' | 'job';
type Way = 'whole' | 'parts' | 'slices';

interface Options {
  /** The block that ends where linear memory ends. */
  readonly last: Block;
  /** Whether x and h are in blocks of their own, as the numbers of a body are. */
  readonly hasBlocks: boolean;
  readonly way: Way;
}

interface Run {
  readonly bits: JobBits;
  /** How many words have changed outside of what may be written. */
  readonly stray: number;
  /** Whether all numbers of its results are finite, with those between their rows. */
  readonly areFinite: boolean;
}

/** Computes a case in blocks full of a pattern. @param blockBytes of the job's block; absent: those of its layout */
function run(
  one: StackCase,
  { last, hasBlocks, way }: Options,
  pattern: Buffer,
  { prepare, blockBytes }: { readonly prepare?: (job: Job) => void; readonly blockBytes?: number } = {},
): Run {
  const layers = layersOf(one);
  const { T, N } = one.shape;
  const shapeAt = ({ x, h }: { readonly x: number; readonly h: number }): JobShape => ({
    ...one.shape,
    ...(hasBlocks && { xPtr: x, hPtr: h }),
  });
  const bytes: Record<Block, number> = {
    model: packedModelBytes(layers),
    x: T * N * inputsOf(layers[0]!) * F32,
    h: N * layers.find((layer) => 'H' in layer)!.H * F32,
    job: layoutOf(packedModelAt(0, layers).packed, shapeAt({ x: 4, h: 4 })).bytes,
  };
  const at = placesOf(bytes, last);
  const low = Math.min(...Object.values(at)) - GAP_BYTES;
  for (const buffer of [all, expected]) pattern.copy(buffer, low, low);
  const expectAsIs = (block: Block) => all.copy(expected, at[block], at[block], at[block] + bytes[block]);

  packModel(layers, memory.u32(at.model, 1).buffer, at.model);
  expectAsIs('model');
  memory.blockPtr = at.job;
  const job = new Job(memory, packedModelAt(at.model, layers), shapeAt(at));
  // Before x and h are filled: the constructor must not have written to them.
  const written = strayWords(at.x, at.x + bytes.x) + strayWords(at.h, at.h + bytes.h);
  fillStackJob(job, one);
  prepare?.(job);
  expectAsIs('x');
  expectAsIs('h');
  const inputsOfJob = () => [job.x, ...job.states.flatMap(({ h, c }) => [h, c ?? []])].map((input) => Float32Array.from(input));
  const inputs = inputsOfJob();
  runJob(job, way);
  expect(inputsOfJob(), 'x and the initial states are only read').toEqual(inputs);
  const stray = strayWords(0, at.job) + strayWords(at.job + (blockBytes ?? bytes.job), all.length);
  const bits = bitsOfJob(job);
  const views = [...job.finalStates().flatMap(({ h, c }) => [h, c]), job.hs, job.y, job.ys];
  const areFinite = views.every((view) => !view || view.data.every(Number.isFinite));
  for (const buffer of [all, expected]) PATTERNS[0]!.copy(buffer, low, low);
  return { bits, stray: written + stray, areFinite };
}

/** The address of each block: one after the other, the last one at the end of the memory. */
function placesOf(bytes: Record<Block, number>, last: Block): Record<Block, number> {
  let end = all.length;
  const places = { model: 0, x: 0, h: 0, job: 0 };
  for (const block of [last, ...(['model', 'x', 'h', 'job'] as const).filter((other) => other !== last)]) {
    // x and h are numbers of a body, at any multiple of 4; the other blocks have whole cache lines.
    places[block] = end - bytes[block];
    end = Math.floor((places[block] - GAP_BYTES) / 64) * 64;
  }
  expect(end).toBeGreaterThan(BLOCKS_START);
  return places;
}

/** How many words from `from` to `end` are not as expected; both are multiples of a word. */
function strayWords(from: number, end: number): number {
  if (all.compare(expected, from, end, from, end) === 0) return 0;
  let count = 0;
  for (let at = from; at < end; at += F32) {
    if (all.readUInt32LE(at) !== expected.readUInt32LE(at)) count++;
  }
  return count;
}

function runJob(job: Job, way: Way): void {
  if (way === 'whole') return kernels.run(job.ptr);
  if (way === 'parts') {
    for (const ptr of job.split(job.partsMax).toReversed()) kernels.run(ptr);
    return;
  }
  for (const part of job.slice(job.partsMax)) {
    while (!part.isDone) kernels.run(part.next(0.3).ptr);
  }
}

const ways = fc.constantFrom<Way>('whole', 'parts', 'slices');
const options: fc.Arbitrary<Options> = fc.oneof(
  fc.record({ last: fc.constantFrom<Block>('model', 'job'), hasBlocks: fc.constant(false), way: ways }),
  fc.record({ last: fc.constantFrom<Block>('model', 'x', 'h', 'job'), hasBlocks: fc.constant(true), way: ways }),
);

describe('a job of any layers', () => {
  const dense = { type: 'dense', I: 5, O: 3, activation: 'linear' } as const;
  const lstm = { type: 'lstm', D: 4, H: 5, direction: 'forward' } as const;
  const one: StackCase = {
    specs: [lstm, dense],
    shape: { T: 2, N: 3, keepsStates: false, trace: false },
    seed: 1,
  };
  const chosen: Options = { last: 'job', hasBlocks: true, way: 'whole' };

  test('a job writes to its own block only, and its result does not depend on what memory held before', () => {
    const check = fc.property(stackCases, options, (one, chosen) => {
      const [first, second] = PATTERNS.map((pattern) => run(one, chosen, pattern));
      expect(first!.stray).toBe(0);
      expect(second!.stray).toBe(0);
      expect(differences(first!.bits, second!.bits)).toEqual([]);
    });
    fc.assert(check, { numRuns: runs(300) });
  });

  test('numbers beyond the columns of a result are finite, so that all are checked at once', () => {
    for (const type of ['rnn', 'lstm'] as const) {
      const cell = type === 'rnn' ? ({ type, activation: 'relu' } as const) : { type };
      for (const direction of ['forward', 'reverse'] as const) {
        const specs = [{ ...cell, D: 4, H: 5, direction }, dense];
        const shape = { T: 3, N: 4, keepsStates: true, trace: false };
        const { areFinite } = run({ specs, shape, seed: 1 }, chosen, Buffer.alloc(MEMORY_BYTES, 0xff));
        expect(areFinite, `${type} ${direction}`).toBe(true);
      }
    }
  });

  test('control: a block without its last region, y, is found too small', () => {
    const { yAt } = layoutOf(packedModelAt(0, layersOf(one)).packed, { ...one.shape, xPtr: 1, hPtr: 1 });
    const { stray } = run(one, chosen, PATTERNS[0]!, { blockBytes: yAt });
    expect(stray).toBeGreaterThanOrEqual(one.shape.N * dense.O);
  });

  test('control: a job whose x was not written has other results with another pattern', () => {
    const prepare = (job: Job) => {
      const at = job.x.byteOffset;
      PATTERNS[isFirst ? 0 : 1]!.copy(all, at, at, at + job.x.byteLength);
    };
    let isFirst = true;
    const first = run(one, chosen, PATTERNS[0]!, { prepare });
    isFirst = false;
    const second = run(one, chosen, PATTERNS[1]!, { prepare });
    expect(differences(first.bits, second.bits)).toContain('h.0');
  });
});
