// The errors of an import. They name the tensors concerned, quoted and truncated: names are input.
import { quote } from '../../codec/safetensors/quote.ts';
import type { ErrorCode } from '../../error-kinds.ts';
import { CarryoverError, escapePointer } from '../../errors.ts';

const NAMES_LISTED_MAX = 10;

/** @param names of the tensors concerned, as the file spells them; each gets an entry in `errors` */
export function refusal(code: ErrorCode, names: readonly string[], message: string): CarryoverError {
  const errors = names
    .slice(0, NAMES_LISTED_MAX)
    .map((name) => ({ pointer: `/${escapePointer(name)}`, message }));
  return new CarryoverError(code, { detail: message, errors });
}

/** `"a", "b" and 3 more` */
export function listNames(names: readonly string[]): string {
  if (names.length === 0) return '(none)';
  const listed = names.slice(0, NAMES_LISTED_MAX).map(quote);
  const more = names.length - listed.length;
  return `${listed.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
