// Writes build/tiles.ts, the register tiles (micro-kernels), from the two templates below.
//
// The tiles of the matrix product (models with D + H above NARROW_MAX):
//
//   C += A W      A: MR rows of K floats,  W: packed panels,  C: MR rows of as many columns as the tile has
//
// The accumulators of a tile stay in registers for a block of k and are then added to C in memory. Within a block, k is
// unrolled by UNROLL with constant offsets, with a branch out of the loop between two k. In tiles of several rows the
// branch stands after the loads of the weights (README.md says why): a block that ends there has loaded the weights of
// one k too many, from what follows the panel; the last panel is followed by b.
// All tiles do the same additions in the same order, whatever their shape:
//
//   C[r][j] = (…((C[r][j] + S_0) + S_1) + …)      S_i: from s = 0, s = fma(a_k, w_kj, s) over block i, in order
//
// so a row's bits do not depend on the tile that computed it. fma(a, w, s) is a w + s, rounded once. Relaxed SIMD lets
// an engine compute `relaxed_madd` so or with a rounding of the product; the self-test refuses an engine that rounds it.
//
// The tiles of narrow models sum both products and b in float64, and `narrow.ts` rounds their sums:
//
//   sums = ((Σ x_k W_x[k] from 0) + h_0 W_h[0] + h_1 W_h[1] + …) + b
//
// The product of two float32 is exact in float64, so a fused multiply-add has the bits of a product and a sum.
import { NR, WIDE } from './layout.ts';

interface TileShape {
  /** Rows of the tile. */
  readonly MR: number;
  /** Of one, two or four panels; NR if of a last, narrower one. */
  readonly columns: number;
}

/** The tiles of the matrix product; `product.ts` chooses among them. */
const TILES: readonly TileShape[] = [
  { MR: 5, columns: WIDE },
  { MR: 4, columns: WIDE },
  { MR: 3, columns: WIDE },
  { MR: 2, columns: 2 * WIDE },
  { MR: 2, columns: WIDE },
  { MR: 4, columns: NR },
  { MR: 1, columns: 4 * WIDE },
  { MR: 1, columns: 2 * WIDE },
  { MR: 1, columns: WIDE },
  { MR: 1, columns: NR },
];

/** The tiles of narrow models; `narrow.ts` chooses among them. */
const NARROW_TILES: readonly TileShape[] = [
  { MR: 2, columns: 2 * NR },
  { MR: 2, columns: NR },
  { MR: 1, columns: 4 * NR },
  { MR: 1, columns: 2 * NR },
  { MR: 1, columns: NR },
];

const UNROLL = 8;
const LANES = 4;
const F32 = 4;

function tileName({ MR, columns }: TileShape): string {
  return `accumulate${MR}x${columns}`;
}

export function generateTiles(): string {
  return [
    '// Written by generate-tiles.ts. Do not edit.',
    "import { PAIR_BYTES, PAIR_SOURCE, PAIR_TARGET } from '../layout';",
    ...TILES.map(tile),
    ...NARROW_TILES.map(narrowTile),
  ].join('\n\n');
}

/** Only the last block of a product leaves the loop in the middle, so its pointers need not be advanced. */
function tile(shape: TileShape): string {
  const { MR, columns } = shape;
  const rows = range(MR);
  const streams = range(streamsOf(shape));
  const vectors = range(columns / LANES);
  const sums = rows.flatMap((r) => vectors.map((v) => `s${r}_${v}`));
  return `/** ${MR} rows × ${columns} columns. */
export function ${tileName(shape)}(
  pairs: usize,
  weights: usize,
  streamSize: usize,
  column: usize,
  K: u32,
  block: u32,
): void {
${lines(2, rows, (r) => [
  `let a${r} = <usize>load<u32>(pairs + ${r} * PAIR_BYTES, PAIR_SOURCE);`,
  `const c${r} = <usize>load<u32>(pairs + ${r} * PAIR_BYTES, PAIR_TARGET) + column;`,
])}
${lines(2, streams, (p) => [p === 0 ? 'let p0 = weights;' : `let p${p} = p${p - 1} + streamSize;`])}
  let left = K;
  while (left > 0) {
    let count = left < block ? left : block;
    left -= count;
${lines(4, sums, (sum, i) => [i === 0 ? `let ${sum} = f32x4.splat(0);` : `let ${sum} = ${sums[0]};`])}
    for (;;) {
${lines(6, range(UNROLL), (u) => [
  ...multiplyAdd(shape, u),
])}
${lines(6, [0], () => advance(shape, UNROLL))}
      count -= ${UNROLL};
      if (count == 0) break;
    }
${lines(4, rows, (r) => vectors.map((v) => addTarget(r, v)))}
${lines(4, rows, (r) => vectors.map((v) => storeTarget(r, v)))}
  }
}`;
}

/** How many panels the tile reads side by side. */
function streamsOf({ columns }: TileShape): number {
  return Math.max(1, columns / WIDE);
}

// All loads come before all stores: V8 joins two neighbouring vectors into one of 256 bits only if nothing is stored
// between their loads.
const addTarget = (r: number, v: number) =>
  `s${r}_${v} = f32x4.add(v128.load(c${r}, ${v * LANES * F32}), s${r}_${v});`;
const storeTarget = (r: number, v: number) =>
  `v128.store(c${r}, s${r}_${v}, ${v * LANES * F32});`;

/** s = fma(a_k, w_k, s) for the k that is `u` beyond the pointers; leaves the loop if the block has no such k. */
function multiplyAdd(shape: TileShape, u: number): string[] {
  const { MR, columns } = shape;
  const streamColumns = columns / streamsOf(shape);
  const weights = range(columns / LANES).map((v) => {
    const column = v * LANES;
    const offset = (u * streamColumns + (column % streamColumns)) * F32;
    return `v128.load(p${Math.floor(column / streamColumns)}, ${offset})`;
  });
  const code: string[] = [];
  const shared = MR > 1;
  if (shared) weights.forEach((load, v) => code.push(`const w${u}_${v} = ${load};`));
  if (u > 0) code.push(`if (count == ${u}) break;`);
  for (const r of range(MR)) {
    code.push(`const x${u}_${r} = v128.load32_splat(a${r}, ${u * F32});`);
    weights.forEach((load, v) => {
      const w = shared ? `w${u}_${v}` : load;
      code.push(`s${r}_${v} = f32x4.relaxed_madd(x${u}_${r}, ${w}, s${r}_${v});`);
    });
  }
  return code;
}

function advance(shape: TileShape, steps: number): string[] {
  const streams = streamsOf(shape);
  return [
    ...range(shape.MR).map((r) => `a${r} += ${steps * F32};`),
    ...range(streams).map((p) => `p${p} += ${(steps * shape.columns * F32) / streams};`),
  ];
}

const F64 = 8;
const F64_LANES = 2;

function narrowTile(shape: TileShape): string {
  const { MR, columns } = shape;
  const rows = range(MR);
  const vectors = range(columns / F64_LANES);
  const sums = rows.flatMap((r) => vectors.map((v) => `s${r}_${v}`));
  return `/** ${MR} rows × ${columns} columns; x and h are the sources of two lists of row pairs. */
export function narrow${MR}x${columns}(
  xPairs: usize,
  hPairs: usize,
  W_x: usize,
  W_h: usize,
  b: usize,
  sums: usize,
  D: u32,
  H: u32,
): void {
${lines(2, sums, (sum, i) => [i === 0 ? `let ${sum} = f64x2.splat(0);` : `let ${sum} = ${sums[0]};`])}
${narrowProduct(shape, 'x', 'D')}
${narrowProduct(shape, 'h', 'H')}
${lines(2, vectors, (v) => [`const b${v} = v128.load(b, ${v * F64_LANES * F64});`])}
${lines(2, sums, (sum) => [`${sum} = f64x2.add(${sum}, b${sum.split('_')[1]});`])}
${lines(2, sums, (sum, i) => [`v128.store(sums, ${sum}, ${i * F64_LANES * F64});`])}
}`;
}

/** s += a_k W[k] for all k, in order. */
function narrowProduct({ MR, columns }: TileShape, a: string, K: string): string {
  const rows = range(MR);
  const W = `W_${a}`;
  const streams = range(columns / NR);
  const weights = range(columns / F64_LANES).map((v) => {
    const column = v * F64_LANES;
    return `v128.load(${a}p${Math.floor(column / NR)}, ${(column % NR) * F64})`;
  });
  return `${lines(2, rows, (r) => [
    `let ${a}${r} = <usize>load<u32>(${a}Pairs + ${r} * PAIR_BYTES, PAIR_SOURCE);`,
  ])}
${lines(2, streams, (p) => [
  `let ${a}p${p} = ${p === 0 ? W : `${a}p${p - 1} + (<usize>${K} << 6)`};`,
])}
  for (const end = ${W} + (<usize>${K} << 6); ${a}p0 < end; ) {
${lines(4, rows, (r) => [
  `const v${r} = f64x2.splat(<f64>load<f32>(${a}${r}));`,
  ...weights.map((load, v) => `s${r}_${v} = f64x2.relaxed_madd(v${r}, ${load}, s${r}_${v});`),
  `${a}${r} += ${F32};`,
])}
${lines(4, streams, (p) => [`${a}p${p} += ${NR * F64};`])}
  }`;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function lines<Item>(indent: number, items: readonly Item[], code: (item: Item, i: number) => string[]) {
  return items
    .flatMap(code)
    .map((line) => ' '.repeat(indent) + line)
    .join('\n');
}
