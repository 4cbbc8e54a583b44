// How the import refuses a file: with the names of the tensors concerned, cut and in quotes, as they
// come from whoever made the file.
import { quote } from '../codec/safetensors/quote.ts';
import type { ErrorCode } from '../error-kinds.ts';
import { CarryoverError, escapePointer } from '../errors.ts';

const NAMES_LISTED_MAX = 10;

/** @param names the tensors concerned, in the file's spelling */
export function refusal(code: ErrorCode, names: readonly string[], message: string): CarryoverError {
  const errors = names
    .slice(0, NAMES_LISTED_MAX)
    .map((name) => ({ pointer: `/${escapePointer(name)}`, message }));
  return new CarryoverError(code, { detail: message, errors });
}

/** `"a", "b" and 3 more` */
export function list(names: readonly string[]): string {
  if (names.length === 0) return '(none)';
  const listed = names.slice(0, NAMES_LISTED_MAX).map(quote);
  const more = names.length - listed.length;
  return `${listed.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
