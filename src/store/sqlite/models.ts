// Models in the SQLite file.
import type { ModelStore, StoredModel } from '../store.ts';
import { HEAD, type Call, type Part } from './messages.ts';

/** Has the thread of the store execute a call. @throws CarryoverError */
export type CallThread = (call: Call, parts?: readonly Part[]) => Promise<unknown>;

/** As ModelStore says; one process has the file, so no other changes them. */
export class SqliteModels implements ModelStore {
  readonly #call: CallThread;

  constructor(call: CallThread) {
    this.#call = call;
  }

  async put({ id, file, createdAtMs, isKept }: StoredModel): Promise<void> {
    await this.#call(['putModel', id, createdAtMs, isKept], [[HEAD, file]]);
  }

  async get(id: string): Promise<StoredModel | undefined> {
    return this.#call(['getModel', id]) as Promise<StoredModel | undefined>;
  }

  async collect(id: string): Promise<boolean> {
    return this.#call(['collectModel', id]) as Promise<boolean>;
  }

  async remove(id: string): Promise<boolean> {
    return this.#call(['removeModel', id]) as Promise<boolean>;
  }

  async ids(): Promise<string[]> {
    return this.#call(['modelIds']) as Promise<string[]>;
  }

  async point(name: string, id: string): Promise<void> {
    await this.#call(['point', name, id]);
  }

  async names(): Promise<Map<string, string>> {
    const rows = (await this.#call(['names'])) as { name: string; id: string }[];
    return new Map(rows.map(({ name, id }) => [name, id]));
  }

  async revision(): Promise<number> {
    return 0;
  }
}
