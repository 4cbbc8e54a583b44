// Executes the calls of the store on the database, each within a transaction that the caller has begun.
import { modelNotFound } from '../model-not-found.ts';
import { HEAD, type CallOf, type Part, type Request, type RevisionCall } from './messages.ts';
import { SLOTS_MAX } from './schema.ts';
import type { Statements } from './statements.ts';

export class Executor {
  readonly #statements: Statements;
  #liveCount: number;
  /** What the current transaction adds to it. */
  #liveCountChange = 0;

  constructor(statements: Statements) {
    this.#statements = statements;
    this.#liveCount = statements.countLive.get() as number;
  }

  /** To be called after COMMIT. */
  committed(): void {
    this.#liveCount += this.#liveCountChange;
    this.#liveCountChange = 0;
  }

  /** To be called before ROLLBACK. */
  rolledBack(): void {
    this.#liveCountChange = 0;
  }

  /** @returns what the method of the store with this name resolves with @throws CarryoverError · an error of SQLite */
  execute({ call, parts }: Request): unknown {
    switch (call[0]) {
      case 'create':
        return this.#create(call, parts);
      case 'change':
        return this.#change(call, parts);
      case 'writeTombstone':
        return this.#writeTombstone(call, parts);
      case 'postpone':
        this.#statements.postpone.run(call[2], call[1]);
        return undefined;
      case 'forget':
        this.#statements.forget.run(call[1]);
        return undefined;
      case 'read':
        return this.#read(call[1]);
      case 'due':
        return this.#statements.due.all(call[1], call[2]);
      case 'list':
        return this.#list(call);
      case 'count':
        return this.#liveCount + this.#liveCountChange;
      case 'putModel':
        this.#putModel(call, parts);
        return undefined;
      case 'removeModel':
        return this.#removeModel(call[1]);
      case 'collectModel':
        this.#statements.collectModel.run(call[1]);
        return this.#statements.modelKey.get(call[1]) === undefined;
      case 'point':
        this.#point(call);
        return undefined;
      case 'unpoint':
        return this.#unpoint(call);
      case 'getModel':
        return this.#getModel(call[1]);
      case 'modelIds':
        return this.#statements.modelIds.all();
      case 'names':
        return this.#statements.names.all();
      case 'secret':
        return this.#statements.secret.get();
    }
  }

  /** Whether a call would change nothing, as it puts a model or a name again: it then needs no space. */
  isNoOp({ call, parts }: Request): boolean {
    if (call[0] === 'putModel') return this.#isModelStored(call, parts);
    return call[0] === 'point' && this.#statements.isPointed.get(call[1], call[2]) !== undefined;
  }

  /**
   * Whether a call that succeeded in a transaction was committed with it, judged by its record.
   *
   * @param request of a transaction that has not deleted records, so that revisions only grow
   */
  isCommitted({ call }: Request & { readonly call: RevisionCall }): boolean {
    const record = this.#statements.findRecord.get(call[1]) as { revision: number } | undefined;
    if (!record) return false;
    return call[0] === 'create' || record.revision > call[2];
  }

  #create([, id, revision, dueAtMs, modelId]: CallOf<'create'>, parts: readonly Part[]): boolean {
    if (this.#statements.findRecord.get(id) !== undefined) return false;
    const model = this.#statements.modelKey.get(modelId);
    if (model === undefined) throw modelNotFound(modelId);
    const key = this.#statements.create.get(id, revision, model, dueAtMs, bytesOf(parts[0]!)) as number;
    this.#putSlots(key, parts);
    this.#liveCountChange++;
    return true;
  }

  #change([, id, revision]: CallOf<'change'>, parts: readonly Part[]): boolean {
    const key = this.#statements.change.get(bytesOf(parts[0]!), id, revision);
    if (key === undefined) return false;
    this.#putSlots(key as number, parts);
    return true;
  }

  #writeTombstone(
    [, id, revision, dueAtMs]: CallOf<'writeTombstone'>,
    parts: readonly Part[],
  ): boolean {
    const key = this.#statements.writeTombstone.get(bytesOf(parts[0]!), dueAtMs, id, revision);
    if (key === undefined) return false;
    const firstSlot = (key as number) * SLOTS_MAX;
    this.#statements.deleteSlots.run(firstSlot, firstSlot + SLOTS_MAX);
    this.#liveCountChange--;
    return true;
  }

  #read(id: string) {
    const record = this.#statements.findRecord.get(id) as
      | { key: number; revision: number; head: Uint8Array }
      | undefined;
    if (!record) return undefined;
    const { key, revision, head } = record;
    const firstSlot = key * SLOTS_MAX;
    const rows = this.#statements.slots.all(firstSlot, firstSlot + SLOTS_MAX) as {
      key: number;
      bytes: Uint8Array;
    }[];
    return { revision, head, slots: new Map(rows.map(({ key, bytes }) => [key - firstSlot, bytes])) };
  }

  #list([, after = '', limit, modelId]: CallOf<'list'>): unknown[] {
    return modelId === undefined
      ? this.#statements.list.all(after, limit)
      : this.#statements.listOfModel.all(modelId, after, limit);
  }

  #putSlots(key: number, parts: readonly Part[]): void {
    for (const part of parts) {
      const [number] = part;
      if (number === HEAD) continue;
      if (number >= SLOTS_MAX) throw new RangeError(`slot ${number} is not below ${SLOTS_MAX}`);
      this.#statements.putSlot.run(key * SLOTS_MAX + number, bytesOf(part));
    }
  }

  #putModel([, id, createdAtMs, isKept]: CallOf<'putModel'>, parts: readonly Part[]): void {
    const isNew = this.#statements.modelKey.get(id) === undefined;
    this.#statements.putModel.run(id, createdAtMs, bytesOf(parts[0]!));
    if (isKept) this.#statements.keepModel.run(id);
    else if (isNew) this.#statements.markInline.run(id);
  }

  #isModelStored([, id, , isKept]: CallOf<'putModel'>, parts: readonly Part[]): boolean {
    const row = this.#statements.findModel.get(id, bytesOf(parts[0]!)) as { isInline: number } | undefined;
    return row !== undefined && !(isKept && row.isInline);
  }

  #getModel(id: string) {
    const row = this.#statements.getModel.get(id) as { isInline: number } | undefined;
    if (!row) return undefined;
    const { isInline, ...model } = row;
    return { ...model, isKept: isInline === 0 };
  }

  #removeModel(id: string): boolean {
    if (this.#statements.isPinned.get(id) !== undefined) return false;
    this.#statements.removeModel.run(id);
    return true;
  }

  #point([, name, id]: CallOf<'point'>): void {
    if (this.#statements.point.run(name, id).changes === 0) throw modelNotFound(id);
    this.#statements.keepModel.run(id);
  }

  #unpoint([, id, names]: CallOf<'unpoint'>): boolean {
    for (const name of names) this.#statements.unpoint.run(name, id);
    if (this.#statements.isNamed.get(id) !== undefined) return true;
    this.#statements.markInline.run(id);
    return false;
  }
}

/** As a Buffer: SQLite would store bytes of another kind with length 0 as NULL. */
function bytesOf([, bytes]: Part): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
