// The regions of a job's block: of the right size, aligned, and none over another.
import { expect, test } from 'vitest';
import { JOB_BYTES, NR, PAIR_BYTES, ROWS_AT_ONCE, ROW_BYTES, RUN_BYTES, SCRATCH_PAIRS } from '../../src/kernels/layout.ts';
import { gatesOf, inputsOf, isRecurrent, outputsOf, shortFormOf } from '../../src/layers.ts';
import {
  type JobLayout,
  RECORDS_PER_PART,
  type VectorRegion,
  layoutOf,
  partPairs,
  partRecordAt,
  partScratchAt,
} from '../../src/wasm/job-layout.ts';
import type { JobShape } from '../../src/wasm/job-shape.ts';
import { packedModelAt } from '../../src/wasm/packed-model.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';
import { type StackCase, stackCases } from '../helpers/stack-cases.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const paddedTo = (columns: number) => Math.ceil(columns / NR) * NR;

interface Region {
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
}

/** What each part has of its own. */
function partRegions(layout: JobLayout, N: number): Region[] {
  const { partsMax, scratchRow } = layout;
  return Array.from({ length: partsMax }, (_, part) => {
    const [firstRow, endRow] = [part, part + 1].map((k) => Math.floor((k * N) / partsMax)) as [number, number];
    const pairs = partPairs(layout, part, firstRow, endRow);
    expect(pairs.max).toBeGreaterThanOrEqual(2 * (endRow - firstRow) + SCRATCH_PAIRS);
    // Affine and dense layers: two lists of pairs, and the space that narrow layers need behind them.
    expect(pairs.max).toBeGreaterThanOrEqual(2 * ROWS_AT_ONCE + SCRATCH_PAIRS);
    return [
      ...Array.from({ length: RECORDS_PER_PART }, (_record, k) => ({
        name: `record ${k} of part ${part}`,
        at: partRecordAt(part, k),
        bytes: JOB_BYTES,
      })),
      { name: `pairs of part ${part}`, at: pairs.at, bytes: pairs.max * PAIR_BYTES },
      { name: `scratch of part ${part}`, at: partScratchAt(layout, part), bytes: 2 * ROWS_AT_ONCE * scratchRow },
    ];
  }).flat();
}

function regionsOf({ specs }: StackCase, layout: JobLayout, { T, N, xPtr, hPtr }: JobShape): Region[] {
  const vectors = (name: string, region: VectorRegion | undefined): Region[] =>
    region ? [{ name, at: region.at, bytes: region.slots * N * region.columns * F32 }] : [];
  const firstRecurrent = layout.runs.findIndex(({ h }) => h);
  const runs = layout.runs.flatMap((run, k): Region[] => {
    const { layer, out, gates, h, c, finalAt, finalColumns, trace, products } = run;
    const isSecond = layout.runs[k - 1]?.layer.layer === layer.layer;
    const { spec } = layer;
    const states = [h, c].flatMap((state, i): Region[] => {
      if (!state || !isRecurrent(spec)) return [];
      const isElsewhere = i === 0 && k === firstRecurrent && hPtr !== undefined;
      return [
        { name: `initial ${i} of ${k}`, at: state.initialAt, bytes: isElsewhere ? 0 : N * spec.H * F32 },
        { name: `current ${i} of ${k}`, at: state.currentAt, bytes: N * paddedTo(spec.H) * F32 },
      ];
    });
    return [
      // The second direction writes to columns of the first one's vectors.
      ...(isSecond ? [] : vectors(`out of ${k}`, out)),
      ...(h && !isSecond ? [{ name: `final of ${k}`, at: finalAt, bytes: N * finalColumns * F32 }] : []),
      ...states,
      ...vectors(`gates of ${k}`, gates),
      ...vectors(`trace of ${k}`, trace),
      ...vectors(`products of ${k}`, products),
    ];
  });
  return [
    ...partRegions(layout, N),
    { name: 'runs', at: layout.runsAt, bytes: layout.runs.length * RUN_BYTES },
    { name: 'rows', at: layout.rowsAt, bytes: N * ROW_BYTES },
    { name: 'x', at: layout.xAt, bytes: xPtr === undefined ? T * N * inputsOf(specs[0]!) * F32 : 0 },
    ...runs,
    { name: 'y', at: layout.yAt, bytes: N * layout.yColumns * F32 },
  ].filter(({ bytes }) => bytes > 0);
}

const shapes = fc.record({ one: stackCases, rows: fc.integer({ min: 1, max: 8 }), hasBlocks: fc.boolean() });

function layoutFor({ one, rows, hasBlocks }: typeof shapes extends fc.Arbitrary<infer Value> ? Value : never) {
  const N = one.shape.N * rows;
  const shape: JobShape = { ...one.shape, lengths: undefined, N, ...(hasBlocks && { xPtr: 64, hPtr: 128 }) };
  return { shape, layout: layoutOf(packedModelAt(0, one.specs).packed, shape) };
}

test('no two regions of a job overlap, and all of them are aligned and in its block', () => {
  const check = fc.property(shapes, (chosen) => {
    const { shape, layout } = layoutFor(chosen);
    const regions = regionsOf(chosen.one, layout, shape).toSorted((a, b) => a.at - b.at);
    for (const [i, { name, at, bytes }] of regions.entries()) {
      const next = regions[i + 1] ?? { name: 'the end', at: layout.bytes };
      expect(at + bytes, `${name} ends before ${next.name}`).toBeLessThanOrEqual(next.at);
      // Pairs of the parts follow one another.
      if (!name.startsWith('pairs')) expect(at % 64, name).toBe(0);
    }
    expect(layout.bytes % 64).toBe(0);
  });
  fc.assert(check, { numRuns: runs(300) });
});

test('vectors have room for all columns that are computed, and slots for all steps that are read again', () => {
  const check = fc.property(shapes, (chosen) => {
    const { shape, layout } = layoutFor(chosen);
    const { T, keepsStates, trace } = shape;
    const isTanh = shortFormOf(chosen.one.specs) !== undefined;
    expect(layout.segment).toBe(layout.isForward ? layout.timeBlock : T);
    for (const [k, { layer, out, outColumn, finalColumns, gates, trace: traced, products }] of layout.runs.entries()) {
      const { spec } = layer;
      const holds = (region: VectorRegion | undefined, columns: number, steps: number) => {
        expect(region!.columns).toBeGreaterThanOrEqual(columns);
        const { slots } = region!;
        // A ring has a slot for each step that is computed at once, and for the one before.
        expect(slots === T || (slots > steps && Number.isInteger(Math.log2(slots)))).toBe(true);
      };
      if (!isRecurrent(spec)) {
        if (out) holds(out, paddedTo(outputsOf(spec)), k < layout.head ? layout.segment - 1 : T - 1);
        continue;
      }
      const isKept = keepsStates && layer.layer === layout.runs[layout.head - 1]!.layer.layer;
      holds(out, outColumn + paddedTo(spec.H), isKept ? T - 1 : layout.segment);
      expect(finalColumns).toBeGreaterThanOrEqual(outColumn + paddedTo(spec.H));
      if (isKept) expect(out!.slots).toBe(T);
      if (spec.type !== 'rnn') holds(gates, layer.gateColumns, layout.timeBlock - 1);
      if (trace && !isTanh) holds(traced, 2 * gatesOf(spec) * paddedTo(spec.H), T - 1);
      if (trace && isTanh) expect(products).toMatchObject({ slots: 3 * T, columns: paddedTo(spec.H) });
    }
  });
  fc.assert(check, { numRuns: runs(300) });
});

test('control: regions that are moved by 64 bytes are found', () => {
  const one: StackCase = {
    specs: [{ type: 'lstm', D: 3, H: 5, direction: 'forward' }],
    shape: { T: 2, N: 3, keepsStates: true, trace: false },
    seed: 1,
  };
  const { shape, layout } = layoutFor({ one, rows: 1, hasBlocks: false });
  const moved = regionsOf(one, { ...layout, xAt: layout.xAt + 64 }, shape).toSorted((a, b) => a.at - b.at);
  const overlaps = moved.filter(({ at, bytes }, i) => at + bytes > (moved[i + 1]?.at ?? layout.bytes));
  expect(overlaps.map(({ name }) => name)).toEqual(['x']);
});
