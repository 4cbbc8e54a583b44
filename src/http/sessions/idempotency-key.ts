// Idempotency-Key: 1 … 255 visible ASCII characters, as they are or as the string of a structured field
// (RFC 9651). Parsed here, since a parser of structured fields refuses what clients send without
// quotation marks, such as a UUID that begins with a digit.
import { type Hash, createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { invalidRequest } from '../../errors.ts';
import type { IdempotencyKey } from '../../sessions/kept-answer.ts';
import { type TensorSource, numbersOf } from '../../tensor.ts';
import { sha256, sha256InSlices, updateInSlices } from './digest.ts';

const KEY = /^(?:"([ !#-[\]-~]{1,255})"|([!#-~]{1,255}))$/;

/**
 * The Idempotency-Key of a request, with a digest of its method, address and body.
 *
 * @throws invalid_request
 */
export function keyOfRequest(request: FastifyRequest): IdempotencyKey | undefined {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return undefined;
  const { method, url, bodyDigest = '' } = request;
  const text = Array.isArray(header) ? header.join(', ') : header;
  return {
    key: parseKey(text, 'Idempotency-Key', ''),
    digest: sha256(`${method} ${url} ${bodyDigest}`),
  };
}

/**
 * The `key` of a message on a WebSocket, with a digest of the message: one that is repeated has the same
 * bytes.
 *
 * @throws invalid_request
 */
export async function keyOfMessage(
  key: string | undefined,
  message: Buffer,
  isBinary: boolean,
): Promise<IdempotencyKey | undefined> {
  if (key === undefined) return undefined;
  const kind = isBinary ? 'binary' : 'text';
  // `frame` is what stored digests were made with.
  const digest = sha256(`frame ${kind} ${await sha256InSlices(message)}`);
  return { key: parseKey(key, 'key', '/key'), digest };
}

/** Numbers of an x whose digest takes a tenth of a millisecond. */
export const ITEM_NUMBERS_MAX = 32_768;

/**
 * The `key` of an item of a batch, with a digest of its fields and of x: it is the same item in whatever order and with
 * whatever others it comes.
 *
 * @param body the item without id, key and if_match
 * @throws invalid_request · out_of_range
 */
export function keyOfItem(key: string | undefined, body: unknown, x: TensorSource): IdempotencyKey | undefined {
  if (key === undefined) return undefined;
  const parsed = parseKey(key, 'key', '/key');
  return { key: parsed, digest: hashOfFields(body, x).update(copyOf(x)).digest('base64url') };
}

/** The same, without holding the event loop while x is hashed. */
export async function keyOfLargeItem(key: string | undefined, body: unknown, x: TensorSource): Promise<IdempotencyKey | undefined> {
  if (key === undefined) return undefined;
  const parsed = parseKey(key, 'key', '/key');
  const hash = hashOfFields(body, x);
  const numbers = x.inPlace?.() ? undefined : copyOf(x);
  // In each slice, because inPlace() throws if the request has ended and the memory is used by others.
  await updateInSlices(hash, () => numbers ?? x.inPlace!()!);
  return { key: parsed, digest: hash.digest('base64url') };
}

/** The hash of the fields of an item, which is to be updated with x. */
function hashOfFields(body: unknown, x: TensorSource): Hash {
  const fields = JSON.stringify(body, (name, value: unknown) => (TENSOR_FIELDS.includes(name) ? undefined : value));
  return createHash('sha256').update(`item ${fields} ${x.axes} ${x.shape.join()} `);
}

function copyOf(x: TensorSource): Float32Array {
  const numbers = new Float32Array(numbersOf(x));
  x.copyTo(numbers);
  return numbers;
}

/** x is hashed as numbers; the other fields of a file are its metadata. */
const TENSOR_FIELDS = ['x', 'tensors'];

/** @param name and pointer: where the key stands, for the error */
function parseKey(text: string, name: string, pointer: string): string {
  const [, quoted, bare] = KEY.exec(text) ?? [];
  const key = quoted ?? bare;
  if (key !== undefined) return key;
  throw invalidRequest(
    `Expected ${name} to be 1 … 255 visible ASCII characters, bare or in quotation marks, got ` +
      `${JSON.stringify(text.slice(0, 40))} (${text.length} characters).`,
    pointer,
    // No earlier attempt can have been applied under what is not a key.
    'no',
  );
}
