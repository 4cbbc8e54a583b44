// The errors of a JSON document.
import { CarryoverError, invalidRequest } from '../../errors.ts';
import { shorten } from './path.ts';

/** The error malformed_json for a document as a whole. */
export function malformed(detail: string): CarryoverError {
  return new CarryoverError('malformed_json', { detail });
}

/**
 * The error malformed_json for a byte that cannot stand where it is.
 *
 * @param at index of the byte; the length of the document if it ends too early
 * @param pointer of the value in which that is
 * @param expected what could stand there
 */
export function notJson(
  bytes: Buffer,
  at: number,
  pointer: string,
  expected: string,
): CarryoverError {
  // A character of UTF-8 has at most four bytes.
  const [character] = bytes.toString('utf8', at, at + 4);
  const got = character === undefined ? 'the end' : JSON.stringify(character);
  const message = `Not JSON at byte ${at}${placeOf(pointer)}: expected ${expected}, got ${got}.`;
  return new CarryoverError('malformed_json', { detail: message, errors: [{ pointer, message }] });
}

/** The error duplicate_key for a key of the object at `pointer`. */
export function duplicateKey(key: string, pointer: string): CarryoverError {
  const message = `The key ${JSON.stringify(shorten(key))} appears more than once in one object.`;
  return new CarryoverError('duplicate_key', { detail: message, errors: [{ pointer, message }] });
}

/**
 * The error invalid_request for a document that exceeds a bound.
 *
 * @param bound e.g. `Outside its tensors the body has more than 2048 keys`
 * @param at index of the byte at which checking stopped
 */
export function boundExceeded(bound: string, at: number, pointer: string): CarryoverError {
  const message = `${bound}, which no request needs: reading stopped at byte ${at}${placeOf(pointer)}.`;
  return invalidRequest(message, pointer);
}

function placeOf(pointer: string): string {
  return pointer === '' ? '' : `, in ${pointer}`;
}
