// The points that bench:scaling measures: one axis varies at a time, from a base point.
import type { Sizes } from '../cases/sequence-case.ts';

export const BASE: Sizes = sizes(100, 32, 256);
/** The shape at which two workers are compared with one: large enough that one job alone is split. */
export const PAIR: Sizes = sizes(100, 32, 512);
/** The throughput of two workers ÷ that of one that is aimed at there. */
export const PAIR_TARGET = 1.7;

const SHAPES = {
  N: [1, 2, 4, 8, 16, 32, 64, 128].map((N) => sizes(BASE.T, N, BASE.H)),
  H: [32, 64, 128, 256, 512, 1024].map((H) => sizes(BASE.T, BASE.N, H)),
  T: [1, 10, 100, 1000].map((T) => sizes(T, BASE.N, BASE.H)),
};

export type ShapeAxis = keyof typeof SHAPES;
export const SHAPE_AXES: readonly ShapeAxis[] = ['N', 'H', 'T'];

export function shapesOf(axis: ShapeAxis): readonly Sizes[] {
  return SHAPES[axis];
}

/** Every shape once, although the base point is on every axis. */
export function allShapes(): Sizes[] {
  const others = SHAPE_AXES.flatMap((axis) => SHAPES[axis]).filter((it) => !areSame(it, BASE));
  return [BASE, ...others];
}

/** 1, 2, 4 … and the number of cores; 1 and 2 on every machine. */
export function workerCounts(cores: number): number[] {
  const counts = [1, 2];
  while (counts.at(-1)! * 2 <= cores) counts.push(counts.at(-1)! * 2);
  if (cores > counts.at(-1)!) counts.push(cores);
  return counts;
}

export function areSame(a: Sizes, b: Sizes): boolean {
  return a.T === b.T && a.N === b.N && a.D === b.D && a.H === b.H;
}

function sizes(T: number, N: number, H: number): Sizes {
  return { T, N, D: H, H };
}
