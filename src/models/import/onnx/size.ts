// Sizes of axes: numbers, or products of a number and sizes that the file leaves open, as the T and N of x.

/** `factor` times the sizes of the axes. */
export interface OpenSize {
  readonly factor: number;
  /** Names, e.g. `x[0]`, sorted. */
  readonly axes: readonly string[];
}

/** Axes that are multiplied; of more, nothing is known. */
const AXES_MAX = 16;

/** Undefined if nothing is known of it. */
export type Size = number | OpenSize | undefined;

export function openSize(axis: string): OpenSize {
  return { factor: 1, axes: [axis] };
}

export function product(a: Size, b: Size): Size {
  if (a === 0 || b === 0) return 0;
  if (a === undefined || b === undefined) return undefined;
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  const [one, other] = [asOpen(a), asOpen(b)];
  const axes = [...one.axes, ...other.axes].toSorted();
  return axes.length > AXES_MAX ? undefined : { factor: one.factor * other.factor, axes };
}

/** a / b, if it is whole whatever the open sizes are; else undefined. */
export function quotient(a: Size, b: Size): Size {
  if (a === undefined || b === undefined || b === 0) return undefined;
  if (typeof a === 'number' && typeof b === 'number') return a % b === 0 ? a / b : undefined;
  const [dividend, divisor] = [asOpen(a), asOpen(b)];
  const axes = [...dividend.axes];
  for (const axis of divisor.axes) {
    const at = axes.indexOf(axis);
    if (at < 0) return undefined;
    axes.splice(at, 1);
  }
  const factor = dividend.factor / divisor.factor;
  if (!Number.isInteger(factor)) return undefined;
  return axes.length === 0 ? factor : { factor, axes };
}

/** Of two numbers, without what is left; else as quotient(). */
export function divided(a: Size, b: Size): Size {
  if (typeof a === 'number' && typeof b === 'number') return b === 0 ? undefined : Math.trunc(a / b);
  return quotient(a, b);
}

export function sum(a: Size, b: Size): Size {
  if (a === 0) return b;
  if (b === 0) return a;
  return typeof a === 'number' && typeof b === 'number' ? a + b : undefined;
}

export function difference(a: Size, b: Size): Size {
  if (b === 0) return a;
  return typeof a === 'number' && typeof b === 'number' ? a - b : undefined;
}

/** Whether both are known, and the same. */
export function isSame(a: Size, b: Size): boolean {
  return a === b ? a !== undefined : quotient(a, b) === 1;
}

/** As errors have it: `6`, `x[0]`, `2 x[0] x[1]`. */
export function formatSize(size: Size): string {
  if (size === undefined) return '?';
  if (typeof size === 'number') return String(size);
  const { factor, axes } = size;
  return [...(factor === 1 ? [] : [factor]), ...axes].join(' ');
}

function asOpen(size: number | OpenSize): OpenSize {
  return typeof size === 'number' ? { factor: size, axes: [] } : size;
}
