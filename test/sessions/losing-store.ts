// A shared store that can lose its last changes, as Redis does when it restarts from an older snapshot or when
// a replica takes over that had not received them yet.
import { randomUUID } from 'node:crypto';
import { MemoryStore } from '../../src/store/memory.ts';
import type { RecordParts, Revision, StoredRecord } from '../../src/store/store.ts';

interface Kept {
  readonly record: StoredRecord;
  readonly isLive: boolean;
  readonly modelId: string;
  readonly dueAtMs: number;
}

export class LosingStore extends MemoryStore {
  override readonly isShared: boolean = true;
  readonly #revisionAfter: (before: Revision | undefined) => Revision;
  #records = new Map<string, Kept>();
  #saved = new Map<string, Kept>();

  /** @param revisionAfter by default unique for each content, as the contract of stores demands */
  constructor(revisionAfter: (before: Revision | undefined) => Revision = () => randomUUID()) {
    super(1e9);
    this.#revisionAfter = revisionAfter;
  }

  save(): void {
    this.#saved = new Map(this.#records);
  }

  /** Loses all changes since save(). */
  restore(): void {
    this.#records = new Map(this.#saved);
  }

  override async create(id: string, parts: RecordParts, dueAtMs: number, modelId: string) {
    if (this.#records.has(id)) return undefined;
    const revision = this.#revisionAfter(undefined);
    this.#records.set(id, { record: { ...parts, revision }, isLive: true, modelId, dueAtMs });
    return revision;
  }

  override async change(id: string, revision: Revision, { head, slots }: RecordParts) {
    const kept = this.#liveAt(id, revision);
    if (!kept) return undefined;
    const next = this.#revisionAfter(revision);
    const record = { head, slots: new Map([...kept.record.slots, ...slots]), revision: next };
    this.#records.set(id, { ...kept, record });
    return next;
  }

  override async writeTombstone(id: string, revision: Revision, head: Uint8Array, dueAtMs: number) {
    const kept = this.#liveAt(id, revision);
    if (!kept) return false;
    const record = { head, slots: new Map(), revision: this.#revisionAfter(revision) };
    this.#records.set(id, { ...kept, record, isLive: false, dueAtMs });
    return true;
  }

  override async read(id: string) {
    return this.#records.get(id)?.record;
  }

  override async due(nowMs: number, limit: number) {
    const due = [...this.#records].filter(([, { dueAtMs }]) => dueAtMs <= nowMs);
    return due.map(([id]) => id).slice(0, limit);
  }

  override async postpone(id: string, dueAtMs: number) {
    const kept = this.#records.get(id);
    if (kept) this.#records.set(id, { ...kept, dueAtMs });
  }

  override async forget(id: string) {
    if (this.#records.get(id)?.isLive !== true) this.#records.delete(id);
  }

  override async list(after: string | undefined, limit: number) {
    return [...this.#records]
      .filter(([id, { isLive }]) => isLive && (after === undefined || id > after))
      .map(([id, { record }]) => ({ id, head: record.head }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit);
  }

  override async count() {
    return [...this.#records.values()].filter(({ isLive }) => isLive).length;
  }

  #liveAt(id: string, revision: Revision): Kept | undefined {
    const kept = this.#records.get(id);
    return kept?.isLive === true && kept.record.revision === revision ? kept : undefined;
  }
}
