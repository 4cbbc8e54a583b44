// The stored record of a session. The head and each slot are frames of their own, so a change writes the
// head and at most two slots, however many answers and past states are kept. A frame is
//
//   | CRC-32 (u32) | length of fields (u32) | fields (JSON) | states (float32, little-endian) |
//
//   slots 0 … 63     the n-th kept answer, in slot n mod 64
//   slots 64 … 127   the i-th past state, counted from the bottom of its stack, in slot 64 + i mod keep
//   slot 128         the answer to the call that created the session, if that had a key
//
// Slots that are no longer needed are not erased: n and i in the frame say whether it is still valid. The
// checksum covers the session's id and the frame's slot, so a misplaced frame is detected too.
import { crc32 } from 'node:zlib';
import { CarryoverError } from '../errors.ts';
import type { RecordParts } from '../store/store.ts';
import {
  ANSWERS_MAX,
  type ChangeMetadata,
  type Creation,
  type IdempotencyKey,
  type KeptAnswer,
  type Provenance,
  type Reply,
} from './kept-answer.ts';
import {
  KEEP_MAX,
  type PastState,
  type Session,
  type StateSizes,
  type Tombstone,
  sizesOf,
  stateNumbersOf,
} from './session.ts';

/** Of a session whose state is one h. */
const FORMAT_OF_H = 1;
/**
 * Of a session of any other model: the head has `states`, such as `64c 32` for an H of 64 with c and one of 32 without,
 * and no counts of 0, nor a `keep` of 0. Services that do not know the format refuse the record. The number of the
 * numerics stands behind the first H, as in `64@2c 32`, where earlier services read over it.
 */
const FORMAT_OF_STATES = 2;
const PREFIX_BYTES = 8;
const HEAD = 'head';

/** Written once, with the first record of the session. */
const CREATION_SLOT = ANSWERS_MAX + KEEP_MAX;

type Slot = typeof HEAD | number;

type SessionFields = Omit<Session, 'id' | 'state' | 'answers' | 'past' | 'creation' | 'numerics'> & {
  readonly format: number;
  /** The number of the numerics. */
  readonly made?: number | undefined;
  readonly reason?: undefined;
};
/** Of FORMAT_OF_STATES. */
type StatesFields = Omit<SessionFields, 'made' | 'states' | 'keep' | 'answersCount' | 'pastHeight'> & {
  readonly states: string;
  readonly keep?: number | undefined;
  readonly answersCount?: number | undefined;
  readonly pastHeight?: number | undefined;
};
type TombstoneFields = Omit<Tombstone, 'id'> & { readonly format: number };
type AnswerFields = IdempotencyKey & {
  readonly n: number;
  readonly reply?: Reply;
  readonly before?: { readonly version: number; readonly t: number };
  /** The provenance. Its stored name stays as it is, because existing records have it. */
  readonly made?: Provenance | undefined;
} & Partial<ChangeMetadata>;
interface PastFields {
  readonly i: number;
  readonly t: number;
}

/** The whole record of a session, as it is written at creation. */
export function encodeSession(session: Session): RecordParts {
  const slots = new Map<number, Uint8Array>();
  const firstAnswer = session.answersCount - session.answers.length;
  session.answers.forEach((answer, k) => putAnswer(slots, session, firstAnswer + k, answer));
  const firstPast = session.pastHeight - session.past.length;
  session.past.forEach((state, k) => putPast(slots, session, firstPast + k, state));
  const { id, creation } = session;
  if (creation) slots.set(CREATION_SLOT, encodeFrame(id, CREATION_SLOT, creation));
  return { head: encodeHead(session), slots };
}

/** The parts of the record that differ between `before` and `after`, one change later. */
export function encodeChange(before: Session, after: Session): RecordParts {
  const slots = new Map<number, Uint8Array>();
  if (after.answersCount > before.answersCount) {
    putAnswer(slots, after, after.answersCount - 1, after.answers.at(-1)!);
  }
  if (after.pastHeight > before.pastHeight) {
    putPast(slots, after, after.pastHeight - 1, after.past.at(-1)!);
  }
  return { head: encodeHead(after), slots };
}

export function encodeTombstone({ id, ...rest }: Tombstone): Uint8Array {
  const fields: TombstoneFields = { format: FORMAT_OF_H, ...rest };
  return encodeFrame(id, HEAD, fields);
}

/** @throws session_corrupt */
export function decodeRecord(id: string, { head, slots }: RecordParts): Session | Tombstone {
  const decoded = decodeHead(id, head);
  if (isTombstone(decoded)) return decoded;
  const { answersCount, pastHeight, keep } = decoded;
  const answers: KeptAnswer[] = [];
  for (let n = Math.max(0, answersCount - ANSWERS_MAX); n < answersCount; n++) {
    answers.push(decodeAnswer(id, n, slots));
  }
  const past: PastState[] = [];
  for (let i = Math.max(0, pastHeight - keep); i < pastHeight; i++) {
    const state = decodePast(id, i, keep, slots);
    if (state) past.push(state);
  }
  const frame = slots.get(CREATION_SLOT);
  const creation = frame && (decodeFrame(id, CREATION_SLOT, frame).fields as Creation);
  return { ...decoded, answers, past, ...(creation && { creation }) };
}

/** The session without its kept answers and past states, for lists. @throws session_corrupt */
export function decodeHead(id: string, head: Uint8Array): Session | Tombstone {
  const { fields, floats } = decodeFrame(id, HEAD, head);
  const { format, ...rest } = fields as SessionFields | StatesFields | TombstoneFields;
  if (format !== FORMAT_OF_H && format !== FORMAT_OF_STATES) {
    throw corrupt(id, `has format ${format}, expected ${FORMAT_OF_H} or ${FORMAT_OF_STATES}`);
  }
  if (rest.reason !== undefined) return { id, ...rest };
  const session = format === FORMAT_OF_H ? withNumerics(rest as SessionFields) : withStates(rest as StatesFields);
  if (floats.length !== stateNumbersOf(rest.N, sizesOf(session))) throw corrupt(id, 'has a state of the wrong size');
  return { id, ...session, state: floats, answers: [], past: [] };
}

export function isTombstone(record: Session | Tombstone): record is Tombstone {
  return 'reason' in record && record.reason !== undefined;
}

function encodeHead(session: Session): Uint8Array {
  const { id, state, states, numerics: made, keep, answersCount, pastHeight } = session;
  const { incarnation, version, nonce, t, modelId, N, D, H, ttlMs, createdAtMs, expiresAtMs } = session;
  const begin = { incarnation, version, nonce, t, modelId, N, D, H };
  if (!states) {
    const counts = { keep, ttlMs, createdAtMs, expiresAtMs, answersCount, pastHeight };
    return encodeFrame(id, HEAD, { format: FORMAT_OF_H, ...begin, ...counts, made } satisfies SessionFields, state);
  }
  // As short as it is, three records of two layers of H = 64 fit into a page of SQLite.
  const fields: StatesFields = {
    format: FORMAT_OF_STATES,
    ...begin,
    states: describeSizes(states, made),
    ttlMs,
    createdAtMs,
    expiresAtMs,
    keep: keep || undefined,
    answersCount: answersCount || undefined,
    pastHeight: pastHeight || undefined,
  };
  return encodeFrame(id, HEAD, fields, state);
}

function describeSizes(sizes: readonly StateSizes[], made: number | undefined): string {
  return sizes.map(({ H, hasC }, k) => `${H}${k === 0 && made ? `@${made}` : ''}${hasC ? 'c' : ''}`).join(' ');
}

function withNumerics({ made, ...rest }: Omit<SessionFields, 'format'>) {
  return { ...rest, ...(made !== undefined && { numerics: made }) };
}

function withStates({ states, keep = 0, answersCount = 0, pastHeight = 0, ...rest }: Omit<StatesFields, 'format'>) {
  const sizes = states.split(' ').map((text) => ({ H: Number.parseInt(text, 10), hasC: text.endsWith('c') }));
  const made = /@(\d+)/.exec(states)?.[1];
  return { ...rest, ...(made && { numerics: Number(made) }), states: sizes, keep, answersCount, pastHeight };
}

function putAnswer(
  slots: Map<number, Uint8Array>,
  { id }: Session,
  n: number,
  answer: KeptAnswer,
): void {
  const slot = n % ANSWERS_MAX;
  const { key, digest } = answer;
  if (answer.kind === 'reply') {
    const fields: AnswerFields = { n, key, digest, reply: answer.reply };
    slots.set(slot, encodeFrame(id, slot, fields));
    return;
  }
  const { before, metadata, provenance } = answer;
  const { version, t, state } = before;
  const fields: AnswerFields = { n, key, digest, before: { version, t }, ...metadata, made: provenance };
  slots.set(slot, encodeFrame(id, slot, fields, state));
}

function putPast(
  slots: Map<number, Uint8Array>,
  { id, keep }: Session,
  i: number,
  { t, state }: PastState,
): void {
  const slot = pastSlot(i, keep);
  const fields: PastFields = { i, t };
  slots.set(slot, encodeFrame(id, slot, fields, state));
}

function decodeAnswer(id: string, n: number, slots: RecordParts['slots']): KeptAnswer {
  const slot = n % ANSWERS_MAX;
  const frame = slots.get(slot);
  if (!frame) throw corrupt(id, `lacks its answer ${n}`);
  const { fields, floats } = decodeFrame(id, slot, frame);
  const { n: found, key, digest, reply, before, made: provenance } = fields as AnswerFields;
  if (found !== n) throw corrupt(id, `has answer ${found} in place of ${n}`);
  if (reply) return { kind: 'reply', key, digest, reply };
  if (!before) throw corrupt(id, `has an empty answer ${n}`);
  const { nonce, expiresAtMs = 0 } = fields as AnswerFields;
  const metadata: ChangeMetadata = { nonce, expiresAtMs };
  return { kind: 'advance', key, digest, before: { ...before, state: floats }, metadata, provenance };
}

/** Undefined if a later state was written to its slot before a rewind lowered the stack to this height. */
function decodePast(
  id: string,
  i: number,
  keep: number,
  slots: RecordParts['slots'],
): PastState | undefined {
  const slot = pastSlot(i, keep);
  const frame = slots.get(slot);
  if (!frame) throw corrupt(id, `lacks its past state ${i}`);
  const { fields, floats } = decodeFrame(id, slot, frame);
  const { i: found, t } = fields as PastFields;
  return found === i ? { t, state: floats } : undefined;
}

function pastSlot(i: number, keep: number): number {
  return ANSWERS_MAX + (i % keep);
}

function encodeFrame(
  id: string,
  slot: Slot,
  fields: object,
  floats: Float32Array = new Float32Array(),
): Uint8Array {
  const json = JSON.stringify(fields);
  const jsonBytes = Buffer.byteLength(json);
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + jsonBytes + floats.byteLength);
  frame.writeUInt32LE(jsonBytes, 4);
  frame.write(json, PREFIX_BYTES);
  frame.set(bytesOf(floats), PREFIX_BYTES + jsonBytes);
  frame.writeUInt32LE(checksum(id, slot, frame), 0);
  return frame;
}

interface Frame {
  readonly fields: unknown;
  readonly floats: Float32Array;
}

function decodeFrame(id: string, slot: Slot, bytes: Uint8Array): Frame {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.length < PREFIX_BYTES || frame.readUInt32LE(0) !== checksum(id, slot, frame)) {
    throw corrupt(id, `has a wrong checksum (${slot === HEAD ? slot : `slot ${slot}`})`);
  }
  const end = PREFIX_BYTES + frame.readUInt32LE(4);
  const floats = new Float32Array((frame.length - end) / Float32Array.BYTES_PER_ELEMENT);
  bytesOf(floats).set(frame.subarray(end));
  return { fields: JSON.parse(frame.toString('utf8', PREFIX_BYTES, end)), floats };
}

function checksum(id: string, slot: Slot, frame: Buffer): number {
  return crc32(frame.subarray(4), crc32(`${id}/${slot}`));
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function corrupt(id: string, what: string): CarryoverError {
  return new CarryoverError('session_corrupt', {
    detail: `The stored record of session ${id} ${what}; it is not served.`,
  });
}
