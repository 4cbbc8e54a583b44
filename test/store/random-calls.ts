// Random calls on a store and on a plain map, which must agree (contract.ts).
import type { SessionStore } from '../../src/store/store.ts';
import { fc } from '../helpers/seed.ts';

/** A record or tombstone as the plain map has it. */
export interface PlainRecord {
  head: string;
  slots: Map<number, string>;
  isLive: boolean;
  dueAtMs: number;
}

export interface Call {
  readonly kind: 'create' | 'change' | 'writeTombstone' | 'postpone' | 'forget';
  readonly id: string;
  /** 1 for the revision before the current one, which must be refused. */
  readonly off: number;
  readonly slot: number;
  readonly dueAtMs: number;
}

/** Whether a call did what it says; undefined if it does not report that. */
type Outcome = boolean | undefined;

const ID = fc.constantFrom('p', 'q', 'r', 's');

export const randomCalls: fc.Arbitrary<Call[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('create', 'change', 'change', 'writeTombstone', 'postpone', 'forget'),
    id: ID,
    off: fc.constantFrom(0, 0, 0, 1),
    slot: fc.nat(3),
    dueAtMs: fc.nat(9),
  }),
  { maxLength: 40 },
);

/** Applies a call to the plain map. @param text what a change writes */
export function applyPlainly(
  records: Map<string, PlainRecord>,
  key: string,
  { kind, off, slot, dueAtMs }: Call,
  text: string,
): Outcome {
  const record = records.get(key);
  const fits = record?.isLive === true && off === 0;
  switch (kind) {
    case 'create':
      if (record) return false;
      records.set(key, { head: text, slots: new Map(), isLive: true, dueAtMs });
      return true;
    case 'change':
      if (!fits) return false;
      record.head = text;
      record.slots.set(slot, text);
      return true;
    case 'writeTombstone':
      if (!fits) return false;
      Object.assign(record, { head: text, slots: new Map(), isLive: false, dueAtMs });
      return true;
    case 'postpone':
      if (record) record.dueAtMs = dueAtMs;
      return undefined;
    case 'forget':
      if (record?.isLive === false) records.delete(key);
      return undefined;
  }
}

/**
 * Applies a call to the store.
 *
 * @param modelId of sessions that are created
 * @param revisions of each record since it was created, the newest last
 */
export async function applyTo(
  store: SessionStore,
  modelId: string,
  revisions: Map<string, string[]>,
  key: string,
  { kind, off, slot, dueAtMs }: Call,
  text: string,
): Promise<Outcome> {
  const known = revisions.get(key) ?? [];
  // A revision that the record had, or, if there is none yet, one that no record has.
  const revision = known.at(-1 - off) ?? 'none';
  switch (kind) {
    case 'create': {
      const first = await store.create(key, { head: Buffer.from(text), slots: new Map() }, dueAtMs, modelId);
      if (first !== undefined) revisions.set(key, [first]);
      return first !== undefined;
    }
    case 'change': {
      const next = await store.change(key, revision, {
        head: Buffer.from(text),
        slots: new Map([[slot, Buffer.from(text)]]),
      });
      if (next !== undefined) known.push(next);
      return next !== undefined;
    }
    case 'writeTombstone':
      return store.writeTombstone(key, revision, Buffer.from(text), dueAtMs);
    case 'postpone':
      await store.postpone(key, dueAtMs);
      return undefined;
    case 'forget':
      await store.forget(key);
      return undefined;
  }
}
