// Values as JSON, with all bits of their numbers: JSON.stringify() writes -0 as 0, and NaN as null.
import { unreadable } from './problem.ts';
import { Tensor, withoutShape } from './tensor.ts';

/** In place of -0, and then replaced by it: a character that no name and no address has. */
const NEGATIVE_ZERO = '\u{10FFFD}';

/**
 * @throws RangeError for a number that is not finite, with its place in the value
 * @throws TypeError for a typed array, which has no shape
 */
export function jsonText(value: unknown): string {
  if (!hasSpecial(value)) return JSON.stringify(value);
  expectNumbers(value, '');
  const text = JSON.stringify(value, (_, member: unknown) => (Object.is(member, -0) ? NEGATIVE_ZERO : member));
  return text.replaceAll(`"${NEGATIVE_ZERO}"`, '-0');
}

/** Whether there is anything that JSON.stringify() would write as something else. */
function hasSpecial(value: unknown): boolean {
  if (typeof value === 'number') return isSpecial(value);
  if (typeof value !== 'object' || value === null) return false;
  if (value instanceof Tensor) return value.data.some(isSpecial);
  if (Array.isArray(value)) return value.some(hasSpecial);
  return ArrayBuffer.isView(value) || Object.values(value).some(hasSpecial);
}

function isSpecial(number: number): boolean {
  return Object.is(number, -0) || !Number.isFinite(number);
}

/** @param place of the value, `x[0][3]` @throws as jsonText() */
function expectNumbers(value: unknown, place: string): void {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`${place} is ${value}, expected a finite number.`);
  if (typeof value !== 'object' || value === null) return;
  if (value instanceof Tensor) return expectNumbers(value.toArray(), place);
  if (ArrayBuffer.isView(value)) throw new TypeError(`${place} is ${withoutShape(value)}.`);
  const isList = Array.isArray(value);
  for (const [name, member] of Object.entries(value)) expectNumbers(member, isList ? `${place}[${name}]` : place === '' ? name : `${place}.${name}`);
}

/** @throws CarryoverError unreadable_answer */
export function parseJson(bytes: Uint8Array): unknown {
  return parseText(new TextDecoder().decode(bytes));
}

/** @throws CarryoverError unreadable_answer */
export function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw unreadable('an answer that is no JSON', error);
  }
}
