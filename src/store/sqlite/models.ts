// The models in the SQLite file.
import type { ModelStore, StoredModel } from '../store.ts';
import { HEAD } from './messages.ts';
import type { ThreadClient } from './thread-client.ts';

/** One process has the file, so no other one changes the models: their revision is constant. */
export class SqliteModels implements ModelStore {
  readonly #thread: ThreadClient;

  constructor(thread: ThreadClient) {
    this.#thread = thread;
  }

  async put({ id, file, createdAtMs, isKept }: StoredModel): Promise<void> {
    await this.#thread.call(['putModel', id, createdAtMs, isKept], [[HEAD, file]]);
  }

  async get(id: string): Promise<StoredModel | undefined> {
    return this.#thread.call(['getModel', id]) as Promise<StoredModel | undefined>;
  }

  async collect(id: string): Promise<boolean> {
    return this.#thread.call(['collectModel', id]) as Promise<boolean>;
  }

  async remove(id: string): Promise<boolean> {
    return this.#thread.call(['removeModel', id]) as Promise<boolean>;
  }

  async ids(): Promise<string[]> {
    return this.#thread.call(['modelIds']) as Promise<string[]>;
  }

  async point(name: string, id: string): Promise<void> {
    await this.#thread.call(['point', name, id]);
  }

  async unpoint(id: string, names: readonly string[]): Promise<boolean> {
    return this.#thread.call(['unpoint', id, names]) as Promise<boolean>;
  }

  async names(): Promise<Map<string, string>> {
    const rows = (await this.#thread.call(['names'])) as { name: string; id: string }[];
    return new Map(rows.map(({ name, id }) => [name, id]));
  }

  async revision(): Promise<number> {
    return 0;
  }
}
