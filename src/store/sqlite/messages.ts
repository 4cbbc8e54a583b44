// What crosses between the store and its thread: one message for all calls of a tick, one for all
// answers of a group. The bytes of a message lie in one buffer: cloning a view would clone all that
// it is a view of, and many small buffers cost more than one (4 calls: 7.2 µs each, packed 4.7 µs).
import type { ErrorCode } from '../../error-kinds.ts';
import type { Applied } from '../../errors.ts';
import type { SessionId } from '../store.ts';
import type { FileIdentity } from './file-identity.ts';

export type Call =
  | readonly ['create', id: SessionId, dueAtMs: number, modelId: string]
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
  | readonly ['getModel', id: string]
  | readonly ['modelIds']
  | readonly ['names']
  | readonly ['secret'];

export type CallOf<Name extends Call[0]> = Extract<Call, readonly [Name, ...unknown[]]>;

/** What makes a record or takes it to its next revision. */
export type Revising = CallOf<'create' | 'change' | 'writeTombstone'>;

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

export function isWrite([name]: Call): boolean {
  return !READS.has(name);
}

const MAKING_ROOM: ReadonlySet<Call[0]> = new Set(['writeTombstone', 'forget', 'postpone', 'removeModel', 'collectModel']);

export function makesRoom([name]: Call): boolean {
  return MAKING_ROOM.has(name);
}

/** The number of the part that is the head of a record, or the file of a model; slots are ≥ 0. */
export const HEAD = -1;

export type Part = readonly [number: number, bytes: Uint8Array];

export interface Request {
  readonly call: Call;
  readonly parts: readonly Part[];
}

export interface Requests {
  readonly calls: readonly Call[];
  /** For each call: how many parts it has, then the number and the length of each. */
  readonly layout: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A request with a part from this size on is a message of its own, which takes the part's memory over. */
const HANDED_OVER_BYTES_MIN = 1024 * 1024;

/** The requests of a tick as messages. Large files that have their memory for themselves are not copied. */
export function packAll(requests: readonly Request[]): Requests[] {
  if (!requests.some(isHandedOver)) return [pack(requests)];
  const messages: Requests[] = [];
  let others: Request[] = [];
  for (const request of requests) {
    if (!isHandedOver(request)) {
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

function isHandedOver({ parts }: Request): boolean {
  const bytes = parts[0]?.[1];
  if (parts.length !== 1 || !bytes || bytes.length < HANDED_OVER_BYTES_MIN) return false;
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

export function unpack({ calls, layout, bytes }: Requests): Request[] {
  let at = 0;
  let end = 0;
  return calls.map((call) => {
    const parts = Array.from({ length: layout[at++]! }, (): Part => {
      const number = layout[at++]!;
      const start = end;
      end += layout[at++]!;
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

/** To the thread. After 'close' come no more requests. */
export type ToThread = Requests | 'close';

/** First whether the thread could open the file, then answers in the order of the requests. */
export type FromThread = Opened | Answers;

export interface Opened {
  /** The file that is open. */
  readonly identity?: FileIdentity | undefined;
  /** Why not, in one line; undefined if the file is open. */
  readonly refusal: string | undefined;
}

export interface Answers {
  readonly values: readonly unknown[];
  /** By the place in `values`, whose value there says nothing. */
  readonly failures: readonly (readonly [place: number, failure: Failure])[];
  /** Why the store cannot write at this moment; undefined if it can. */
  readonly problem: string | undefined;
}

export interface ThreadOptions {
  readonly path: string;
  /** Of the file. */
  readonly bytesMax: number;
  /** The file that an earlier thread had open: no other will do. */
  readonly known?: FileIdentity | undefined;
}
