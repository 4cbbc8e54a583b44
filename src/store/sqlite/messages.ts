// The messages between the store and its thread: one for all calls of an event-loop iteration, one for all answers
// of a group. The bytes of a message are in one buffer: cloning a view would clone the whole buffer that it
// is a view of, and many small buffers cost more than one (with 4 calls 7.2 µs each, packed 4.7 µs).
import type { ErrorCode } from '../../error-kinds.ts';
import type { Applied } from '../../errors.ts';
import type { SessionId } from '../store.ts';
import type { FileIdentity } from './file-identity.ts';

/** A call of the store: the name of a method and its arguments, without the bytes. */
export type Call =
  | readonly ['create', id: SessionId, revision: number, dueAtMs: number, modelId: string]
  | readonly ['change', id: SessionId, revision: number]
  | readonly ['writeTombstone', id: SessionId, revision: number, dueAtMs: number]
  | readonly ['postpone', id: SessionId, dueAtMs: number]
  | readonly ['forget', id: SessionId]
  | readonly ['read', id: SessionId]
  | readonly ['due', nowMs: number, limit: number]
  | readonly ['list', after: SessionId | undefined, limit: number, modelId: string | undefined]
  | readonly ['count']
  | readonly ['putModel', id: string, createdAtMs: number, isKept: boolean]
  | readonly ['removeModel', id: string]
  | readonly ['collectModel', id: string]
  | readonly ['point', name: string, id: string]
  | readonly ['unpoint', id: string, names: readonly string[]]
  | readonly ['getModel', id: string]
  | readonly ['modelIds']
  | readonly ['names']
  | readonly ['secret'];

export type CallOf<Name extends Call[0]> = Extract<Call, readonly [Name, ...unknown[]]>;

/** A call that creates a record or leads to its next revision. */
export type RevisionCall = CallOf<'create' | 'change' | 'writeTombstone'>;

const READS: ReadonlySet<Call[0]> = new Set([
  'read',
  'due',
  'list',
  'count',
  'getModel',
  'modelIds',
  'names',
  'secret',
]);

/** Whether a call may change the database. */
export function isWrite([name]: Call): boolean {
  return !READS.has(name);
}

const FREEING_SPACE: ReadonlySet<Call[0]> = new Set([
  'writeTombstone',
  'forget',
  'postpone',
  'removeModel',
  'collectModel',
  'unpoint',
]);

/** Whether a call deletes or prepares deleting, and may therefore use the reserved space. */
export function freesSpace([name]: Call): boolean {
  return FREEING_SPACE.has(name);
}

/** The number of the part that is the head of a record, or the file of a model. Slots have numbers ≥ 0. */
export const HEAD = -1;

/** Bytes of a call. */
export type Part = readonly [number: number, bytes: Uint8Array];

export interface Request {
  readonly call: Call;
  readonly parts: readonly Part[];
}

/** Requests as a message. */
export interface Requests {
  readonly calls: readonly Call[];
  /** For each call the count of its parts, then the number and the length of each. */
  readonly layout: readonly number[];
  /** The bytes of all parts, one after another. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A part from this size on is a message of its own, so that its buffer can be transferred and not copied. */
const TRANSFERRED_BYTES_MIN = 1024 * 1024;

/** Requests as messages, in their order. A large file is not copied if it is all of its buffer. */
export function packRequests(requests: readonly Request[]): Requests[] {
  if (!requests.some(isTransferred)) return [pack(requests)];
  const messages: Requests[] = [];
  let others: Request[] = [];
  for (const request of requests) {
    if (!isTransferred(request)) {
      others.push(request);
      continue;
    }
    if (others.length > 0) messages.push(pack(others));
    others = [];
    const [[number, bytes]] = request.parts as [Part];
    const layout = [1, number, bytes.length];
    messages.push({ calls: [request.call], layout, bytes: bytes as Uint8Array<ArrayBuffer> });
  }
  if (others.length > 0) messages.push(pack(others));
  return messages;
}

function isTransferred({ parts }: Request): boolean {
  const bytes = parts[0]?.[1];
  if (parts.length !== 1 || !bytes || bytes.length < TRANSFERRED_BYTES_MIN) return false;
  return bytes.buffer instanceof ArrayBuffer && bytes.length === bytes.buffer.byteLength;
}

function pack(requests: readonly Request[]): Requests {
  const layout: number[] = [];
  let length = 0;
  for (const { parts } of requests) {
    layout.push(parts.length);
    for (const [number, bytes] of parts) {
      layout.push(number, bytes.length);
      length += bytes.length;
    }
  }
  const packed = new Uint8Array(length);
  let end = 0;
  for (const { parts } of requests) {
    for (const [, bytes] of parts) {
      packed.set(bytes, end);
      end += bytes.length;
    }
  }
  return { calls: requests.map(({ call }) => call), layout, bytes: packed };
}

/** The reverse of packRequests(). The parts are views of the message. */
export function unpackRequests({ calls, layout, bytes }: Requests): Request[] {
  let next = 0;
  let end = 0;
  return calls.map((call) => {
    const parts = Array.from({ length: layout[next++]! }, (): Part => {
      const number = layout[next++]!;
      const start = end;
      end += layout[next++]!;
      return [number, bytes.subarray(start, end)];
    });
    return { call, parts };
  });
}

export interface Failure {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly applied: Applied;
}

/** Asks for a copy of the database. */
export interface CopyRequest {
  /** An existing empty file. */
  readonly copyTo: string;
}

/** To the thread. No requests follow after 'close'. */
export type ToThread = Requests | CopyRequest | 'close';

/** From the thread: first whether it could open the file, then the answers in the order of the requests. */
export type FromThread = Opened | Answers | Copied;

export interface Opened {
  /** The file that was opened. */
  readonly identity?: FileIdentity | undefined;
  /** From which format it was migrated, and where the copy is that was made before; undefined if it was not. */
  readonly migrated?: { readonly from: number; readonly copy: string } | undefined;
  /** Why the file could not be opened, in one line; undefined if it was. */
  readonly refusal: string | undefined;
}

export interface Answers {
  readonly values: readonly unknown[];
  /** By their index in `values`, where undefined stands for them. */
  readonly failures: readonly (readonly [index: number, failure: Failure])[];
  /** Why the store cannot write at this moment; undefined if it can. */
  readonly problem: string | undefined;
  /** When their transaction began and had ended, by performance.now(), which is the same on all threads. */
  readonly ranMs?: readonly [startMs: number, endMs: number];
}

/** What has come of a CopyRequest. */
export interface Copied {
  /** Undefined if the copy is complete. */
  readonly copyFailure: Failure | undefined;
}

export interface ThreadOptions {
  readonly path: string;
  /** Limit of the database file. */
  readonly bytesMax: number;
  /** The file that an earlier thread had open: another one at this path is refused. */
  readonly expected?: FileIdentity | undefined;
}
