// Colours of numbers: blue below zero, orange above, the paper at zero; the stronger, the farther from it.

/** red, green, blue, opacity, each 0 … 255. */
export type Rgba = readonly [number, number, number, number];

/** Light and dark enough to be told apart on white as on black. */
const POSITIVE = [217, 119, 6] as const;
const NEGATIVE = [37, 99, 235] as const;

/** @param max the size of the numbers that get the full colour; 0 if all numbers are 0 */
export function colorOf(value: number, max: number): Rgba {
  const strength = max === 0 ? 0 : Math.min(1, Math.abs(value) / max);
  const [red, green, blue] = value < 0 ? NEGATIVE : POSITIVE;
  return [red, green, blue, Math.round(255 * strength)];
}

/** The largest size of a number; 0 for none. */
export function maxOf(values: ArrayLike<number>): number {
  let max = 0;
  for (let k = 0; k < values.length; k++) max = Math.max(max, Math.abs(values[k]!));
  return max;
}
