// Values as JSON, with all bits of their numbers: JSON.stringify() writes -0 as 0.
import { unreadable } from './problem.ts';
import { Tensor } from './tensor.ts';

/** In place of -0, and then replaced by it: a character that no name and no address has. */
const NEGATIVE_ZERO = '\u{10FFFD}';

export function jsonText(value: unknown): string {
  if (!hasNegativeZero(value)) return JSON.stringify(value);
  const text = JSON.stringify(value, (_, member: unknown) => (Object.is(member, -0) ? NEGATIVE_ZERO : member));
  return text.replaceAll(`"${NEGATIVE_ZERO}"`, '-0');
}

function hasNegativeZero(value: unknown): boolean {
  if (typeof value === 'number') return Object.is(value, -0);
  if (typeof value !== 'object' || value === null) return false;
  if (value instanceof Tensor) return value.data.some((number) => Object.is(number, -0));
  return Array.isArray(value) ? value.some(hasNegativeZero) : Object.values(value).some(hasNegativeZero);
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
