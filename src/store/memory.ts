// The store without persistence: sessions and models are in the memory of this process and end with it.
import { randomBytes } from 'node:crypto';
import { CarryoverError } from '../errors.ts';
import { SortedKeys } from '../sorted-keys.ts';
import { monotonicClock } from './clock.ts';
import { ExpiryHeap } from './expiry-heap.ts';
import { firstRevision } from './first-revision.ts';
import { modelNotFound } from './model-not-found.ts';
import type {
  ListedRecord,
  ModelStore,
  RecordParts,
  Revision,
  SessionStore,
  StoredModel,
  StoredRecord,
} from './store.ts';

interface Entry extends RecordParts {
  /** The number of changes, which is enough, as no change is ever lost. */
  readonly revision: Revision;
  readonly slots: Map<number, Uint8Array>;
  dueAtMs: number;
  /** Undefined for a tombstone. */
  readonly modelId: string | undefined;
}

function revisionAfter({ revision }: Entry): Revision {
  return String(Number(revision) + 1);
}

/** The memory that the maps and buffers of an entry need besides its bytes, approximately. */
const ENTRY_BYTES = 600;

export class MemoryStore implements SessionStore {
  readonly description = 'memory: sessions and models end with the process';
  readonly isShared: boolean = false;
  readonly models: MemoryModels;
  readonly now = monotonicClock();
  readonly #secret = randomBytes(16).toString('base64url');
  readonly #bytesMax: number;
  readonly #entries = new Map<string, Entry>();
  readonly #expiry = new ExpiryHeap();
  /** The ids of the live records by the model that they pin. A model that is not pinned is not in it. */
  readonly #idsByModel = new Map<string, SortedKeys>();
  readonly #liveIds = new SortedKeys();
  #liveCount = 0;
  /** Of all entries. */
  #bytes = 0;

  /** @param bytesMax limit of all records together; a change that would exceed it is refused */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.models = new MemoryModels((id) => this.#idsByModel.has(id));
  }

  problems(): readonly string[] {
    return [];
  }

  async create(
    id: string,
    parts: RecordParts,
    dueAtMs: number,
    modelId: string,
  ): Promise<Revision | undefined> {
    if (this.#entries.has(id)) return undefined;
    this.models.expect(modelId);
    const revision = String(firstRevision());
    this.#put(id, { revision, head: parts.head, slots: new Map(parts.slots), dueAtMs, modelId });
    this.#expiry.add(id, dueAtMs);
    return revision;
  }

  async change(
    id: string,
    revision: Revision,
    { head, slots }: RecordParts,
  ): Promise<Revision | undefined> {
    const entry = this.#liveAt(id, revision);
    if (!entry) return undefined;
    const next = revisionAfter(entry);
    // Most changes have no slots.
    const all = slots.size === 0 ? entry.slots : new Map([...entry.slots, ...slots]);
    this.#put(id, { ...entry, revision: next, head, slots: all });
    return next;
  }

  async writeTombstone(id: string, revision: Revision, head: Uint8Array, dueAtMs: number): Promise<boolean> {
    const entry = this.#liveAt(id, revision);
    if (!entry) return false;
    const tombstone = { revision: revisionAfter(entry), head, slots: new Map<number, Uint8Array>() };
    this.#put(id, { ...tombstone, dueAtMs, modelId: undefined });
    this.#expiry.add(id, dueAtMs);
    return true;
  }

  async read(id: string): Promise<StoredRecord | undefined> {
    const entry = this.#entries.get(id);
    return entry && { revision: entry.revision, head: entry.head, slots: entry.slots };
  }

  async due(nowMs: number, limit: number): Promise<string[]> {
    return this.#expiry.due(nowMs, limit, (id, dueAtMs) => this.#entries.get(id)?.dueAtMs === dueAtMs);
  }

  async postpone(id: string, dueAtMs: number): Promise<void> {
    const entry = this.#entries.get(id);
    if (!entry) return;
    entry.dueAtMs = dueAtMs;
    this.#expiry.add(id, dueAtMs);
  }

  async forget(id: string): Promise<void> {
    if (this.#entries.get(id)?.modelId === undefined) this.#remove(id);
  }

  async list(
    after: string | undefined,
    limit: number,
    modelId?: string,
  ): Promise<ListedRecord[]> {
    const live = modelId === undefined ? this.#liveIds : this.#idsByModel.get(modelId);
    const ids = live?.after(after, limit) ?? [];
    return ids.map((id) => ({ id, head: this.#entries.get(id)!.head }));
  }

  async count(): Promise<number> {
    return this.#liveCount;
  }

  async secret(): Promise<string> {
    return this.#secret;
  }

  async close(): Promise<void> {}

  #liveAt(id: string, revision: Revision): Entry | undefined {
    const entry = this.#entries.get(id);
    return entry?.modelId !== undefined && entry.revision === revision ? entry : undefined;
  }

  /** Adds or replaces an entry. @throws store_full, and nothing is changed */
  #put(id: string, entry: Entry): void {
    const before = this.#entries.get(id);
    const growth = bytesOf(entry) - (before ? bytesOf(before) : 0);
    if (growth > 0 && this.#bytes + growth > this.#bytesMax) {
      throw new CarryoverError('store_full', {
        detail:
          `${this.#bytes} of ${this.#bytesMax} bytes are in use by sessions ` +
          '(MEMORY_STORE_BYTES_MAX).',
        applied: 'no',
      });
    }
    this.#bytes += growth;
    if (entry.modelId === undefined) this.#unlist(id, before);
    else if (before === undefined) this.#enlist(id, entry.modelId);
    this.#entries.set(id, entry);
  }

  #remove(id: string): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#bytes -= bytesOf(entry);
    this.#unlist(id, entry);
    this.#entries.delete(id);
  }

  #enlist(id: string, modelId: string): void {
    this.#liveCount++;
    this.#liveIds.add(id);
    const ofModel = this.#idsByModel.get(modelId) ?? new SortedKeys();
    ofModel.add(id);
    this.#idsByModel.set(modelId, ofModel);
  }

  #unlist(id: string, before: Entry | undefined): void {
    if (before?.modelId === undefined) return;
    this.#liveCount--;
    this.#liveIds.delete(id);
    const ofModel = this.#idsByModel.get(before.modelId)!;
    ofModel.delete(id);
    if (ofModel.after(undefined, 1).length === 0) this.#idsByModel.delete(before.modelId);
  }
}

function bytesOf({ head, slots }: RecordParts): number {
  let bytes = ENTRY_BYTES + head.length;
  for (const slot of slots.values()) bytes += slot.length;
  return bytes;
}

class MemoryModels implements ModelStore {
  readonly #models = new Map<string, StoredModel>();
  readonly #names = new Map<string, string>();
  readonly #isPinned: (id: string) => boolean;

  constructor(isPinned: (id: string) => boolean) {
    this.#isPinned = isPinned;
  }

  async put(model: StoredModel): Promise<void> {
    if (!this.#models.has(model.id)) this.#models.set(model.id, model);
    if (model.isKept) this.#keep(model.id);
  }

  async get(id: string): Promise<StoredModel | undefined> {
    return this.#models.get(id);
  }

  async remove(id: string): Promise<boolean> {
    if (this.#isPinned(id)) return false;
    this.#models.delete(id);
    for (const [name, target] of this.#names) if (target === id) this.#names.delete(name);
    return true;
  }

  async collect(id: string): Promise<boolean> {
    if (this.#models.get(id)?.isKept || this.#isPinned(id)) return false;
    this.#models.delete(id);
    return true;
  }

  async ids(): Promise<string[]> {
    return [...this.#models.keys()];
  }

  async point(name: string, id: string): Promise<void> {
    this.expect(id);
    this.#keep(id);
    this.#names.set(name, id);
  }

  async unpoint(id: string, names: readonly string[]): Promise<boolean> {
    for (const name of names) if (this.#names.get(name) === id) this.#names.delete(name);
    for (const target of this.#names.values()) if (target === id) return true;
    const model = this.#models.get(id);
    if (model) this.#models.set(id, { ...model, isKept: false });
    return false;
  }

  async names(): Promise<Map<string, string>> {
    return new Map(this.#names);
  }

  async revision(): Promise<number> {
    return 0;
  }

  #keep(id: string): void {
    const model = this.#models.get(id)!;
    if (!model.isKept) this.#models.set(id, { ...model, isKept: true });
  }

  /** @throws model_not_found if there is no such model */
  expect(id: string): void {
    if (this.#models.has(id)) return;
    throw modelNotFound(id);
  }
}
