// The errors of a JSON text in which something is wrong.
import { CarryoverError, invalidRequest } from '../../errors.ts';
import { cutText } from './path.ts';

export function malformed(detail: string): CarryoverError {
  return new CarryoverError('malformed_json', { detail });
}

/**
 * @param at of the byte that cannot stand where it is; the length if the text ends too early
 * @param expected what could have stood there
 */
export function notJson(
  bytes: Buffer,
  at: number,
  pointer: string,
  expected: string,
): CarryoverError {
  // The longest character has four bytes.
  const [character] = bytes.toString('utf8', at, at + 4);
  const got = character === undefined ? 'the end' : JSON.stringify(character);
  const message = `Not JSON at byte ${at}${placeOf(pointer)}: expected ${expected}, got ${got}.`;
  return new CarryoverError('malformed_json', { detail: message, errors: [{ pointer, message }] });
}

export function duplicateKey(key: string, pointer: string): CarryoverError {
  const message = `The key ${JSON.stringify(cutText(key))} appears more than once in one object.`;
  return new CarryoverError('duplicate_key', { detail: message, errors: [{ pointer, message }] });
}

/** @param bound how much of what: `2048 keys` */
export function boundMet(bound: string, at: number, pointer: string): CarryoverError {
  const message =
    `Outside its tensors the body has more than ${bound}, which no request needs: reading stopped at ` +
    `byte ${at}${placeOf(pointer)}.`;
  return invalidRequest(message, pointer);
}

function placeOf(pointer: string): string {
  return pointer === '' ? '' : `, in ${pointer}`;
}
