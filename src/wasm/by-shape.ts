// What depends on the shape of a job alone, kept for the latest shapes: most jobs of a model have one of a few. Comparing
// their fields takes less than making a key of them.
import type { JobShape } from './job-shape.ts';

/** All that counts: not where x and h are, but whether they are given. Lengths are left out: whoever counts them keeps nothing. */
type Shape = Pick<JobShape, 'T' | 'N' | 'keepsStates' | 'trace' | 'xPtr' | 'hPtr'>;

interface Entry<Value> {
  readonly T: number;
  readonly N: number;
  readonly keepsStates: boolean;
  readonly trace: boolean;
  readonly hasX: boolean;
  readonly hasH: boolean;
  readonly value: Value;
}

const SHAPES_MAX = 16;

export class ByShape<Value> {
  readonly #entries: Entry<Value>[] = [];

  find({ T, N, keepsStates, trace, xPtr, hPtr }: Shape): Value | undefined {
    const hasX = xPtr !== undefined;
    const hasH = hPtr !== undefined;
    for (const entry of this.#entries) {
      const hasFlags = entry.keepsStates === keepsStates && entry.trace === trace;
      const isGiven = entry.hasX === hasX && entry.hasH === hasH;
      if (entry.T === T && entry.N === N && hasFlags && isGiven) return entry.value;
    }
    return undefined;
  }

  /** Keeps the value of a shape that was not found, if need be in place of the oldest one. @returns the value */
  add({ T, N, keepsStates, trace, xPtr, hPtr }: Shape, value: Value): Value {
    if (this.#entries.length === SHAPES_MAX) this.#entries.shift();
    this.#entries.push({ T, N, keepsStates, trace, hasX: xPtr !== undefined, hasH: hPtr !== undefined, value });
    return value;
  }
}
