import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  JOB_N,
  JOB_PAIRS,
  JOB_PAIRS_MAX,
  JOB_ROWS,
  PAIR_BYTES,
  ROW_BYTES,
  ROW_STEPS,
} from '../../src/kernels/layout.ts';
import { Job } from '../../src/wasm/job.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';

const MiB = 1024 * 1024;
const memory = new LinearMemory(512 * MiB);
const model = (D: number, H: number) => ({ D, H, panelsPtr: memory.allocate(64) });

const shapes = fc.record({
  T: fc.integer({ min: 1, max: 200 }),
  N: fc.integer({ min: 1, max: 200 }),
  D: fc.integer({ min: 1, max: 60 }),
  H: fc.integer({ min: 1, max: 60 }),
});

describe('the parts of a job', () => {
  test('share the rows out and write to no memory in common', () => {
    const cases = shapes.chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.option(
          fc.array(fc.integer({ min: 0, max: shape.T }), {
            minLength: shape.N,
            maxLength: shape.N,
          }),
          { nil: undefined },
        ),
        fc.integer({ min: 1, max: 16 }),
      ),
    );
    fc.assert(
      fc.property(cases, ([{ T, N, D, H }, lengths, wanted]) => {
        const shape = { T, N, lengths, keepsStates: false, trace: false };
        const job = new Job(memory, model(D, H), shape);
        const parts = job.split(Math.min(wanted, job.partsMax)).map((ptr) => {
          const record = memory.u32(ptr, 16);
          const pairs = record[JOB_PAIRS / 4]!;
          return {
            rows: record[JOB_ROWS / 4]!,
            count: record[JOB_N / 4]!,
            pairs,
            pairsEnd: pairs + record[JOB_PAIRS_MAX / 4]! * PAIR_BYTES,
          };
        });
        expect(parts.reduce((sum, { count }) => sum + count, 0)).toBe(N);
        for (const [i, part] of parts.entries()) {
          expect(part.pairsEnd - part.pairs).toBeGreaterThanOrEqual(2 * part.count * PAIR_BYTES);
          // The inputs come next in the block.
          expect(part.pairsEnd).toBeLessThanOrEqual(job.x.byteOffset);
          const next = parts[i + 1];
          if (!next) continue;
          expect(next.rows).toBe(part.rows + part.count * ROW_BYTES);
          expect(next.pairs).toBeGreaterThanOrEqual(part.pairsEnd);
        }
        const steps = memory.u32(parts[0]!.rows, (N * ROW_BYTES) / 4);
        for (let n = 1; n < N; n++) {
          const at = (n * ROW_BYTES + ROW_STEPS) / 4;
          expect(steps[at]).toBeLessThanOrEqual(steps[at - ROW_BYTES / 4]!);
        }
        job.release();
      }),
      { numRuns: 500 },
    );
  });
});

test('65,536 steps need little more memory than their inputs, unless all states are kept', () => {
  const shape = { T: 65_536, N: 1, keepsStates: false, trace: false };
  const before = memory.bytesUsed;
  const job = new Job(memory, model(1, 64), shape);
  expect(memory.bytesUsed - before - 65_536 * 4).toBeLessThan(64 * 1024);
  job.release();
});
