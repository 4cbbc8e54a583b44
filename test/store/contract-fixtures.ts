// What the tests of the contract of a store share: its models, and how they write and compare records.
import type { CarryoverError } from '../../src/errors.ts';
import type { SessionStore, StoredRecord } from '../../src/store/store.ts';

export const HOUR_MS = 3_600_000;
/** Both are in the store when a test begins. */
export const MODEL = { id: `sha256:${'a'.repeat(64)}`, file: bytes('weights'), createdAtMs: 1_000, isKept: true };
export const OTHER = { id: `sha256:${'b'.repeat(64)}`, file: bytes('others'), createdAtMs: 2_000, isKept: true };

/** Creates a record, of MODEL if nothing else is said. */
export function createIn(
  store: SessionStore,
  id: string,
  dueAtMs = HOUR_MS,
  modelId = MODEL.id,
  slots: Record<number, string> = {},
) {
  return store.create(id, parts(`head of ${id}`, slots), dueAtMs, modelId);
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

export function parts(head: string, slots: Record<number, string> = {}) {
  const entries = Object.entries(slots).map(([slot, text]) => [Number(slot), bytes(text)] as const);
  return { head: bytes(head), slots: new Map(entries) };
}

/** For comparisons, as stores may return any kind of Uint8Array. */
export function plain(record: StoredRecord | undefined) {
  return (
    record && {
      revision: record.revision,
      head: Buffer.from(record.head).toString('base64'),
      slots: [...record.slots]
        .map(([slot, data]) => [slot, Buffer.from(data).toString('base64')] as const)
        .toSorted(([a], [b]) => a - b),
    }
  );
}

export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: CarryoverError) => error.code,
  );
}
