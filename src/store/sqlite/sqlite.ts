// The default store: one SQLite file, whose committed changes survive a loss of power. SQLite runs on a thread of
// its own (thread-client.ts), so that the main thread never waits for a disk.
import type { RequestTrace } from '../../request-trace.ts';
import { monotonicClock } from '../clock.ts';
import { firstRevision } from '../first-revision.ts';
import type {
  ListedRecord,
  ModelStore,
  RecordParts,
  Revision,
  SessionStore,
  StoredRecord,
} from '../store.ts';
import { type Call, HEAD, type Part } from './messages.ts';
import { SqliteModels } from './models.ts';
import { ThreadClient, type ThreadClientOptions } from './thread-client.ts';

export interface SqliteOptions extends Omit<ThreadClientOptions, 'bytesMax'> {
  /** Limit of the database file; 16 GiB by default. */
  readonly bytesMax?: number;
}

const BYTES_MAX = 16 * 2 ** 30;

/** @throws Error in one line: the file is in use, of another format, or cannot be opened */
export async function openSqliteStore(path: string, options: SqliteOptions): Promise<SessionStore> {
  const { bytesMax = BYTES_MAX, ...others } = options;
  const thread = new ThreadClient(path, { bytesMax, ...others });
  await thread.start();
  return new SqliteStore(path, thread);
}

/** A record as the thread returns it: its revision is the number of its changes. */
type CountedRecord = Omit<StoredRecord, 'revision'> & { readonly revision: number };

/**
 * No other process changes the file while this one has it open, and it loses no change: so the number of changes
 * is enough for a revision.
 */
class SqliteStore implements SessionStore {
  readonly description: string;
  readonly isShared = false;
  readonly models: ModelStore;
  readonly now = monotonicClock();
  readonly #thread: ThreadClient;

  constructor(path: string, thread: ThreadClient) {
    const { migrated } = thread;
    const note = migrated && `; it had format ${migrated.from} and was migrated, ${migrated.copy} is the file as it was before`;
    this.description = `sqlite: sessions and models are in ${path} and outlive a loss of power${note ?? ''}`;
    this.#thread = thread;
    this.models = new SqliteModels(thread);
  }

  problems(): readonly string[] {
    return this.#thread.problems();
  }

  async create(
    id: string,
    parts: RecordParts,
    dueAtMs: number,
    modelId: string,
    trace?: RequestTrace,
  ): Promise<Revision | undefined> {
    const first = firstRevision();
    const isDone = await this.#thread.call(['create', id, first, dueAtMs, modelId], partsOf(parts), trace);
    return isDone ? String(first) : undefined;
  }

  async change(
    id: string,
    revision: Revision,
    parts: RecordParts,
    trace?: RequestTrace,
  ): Promise<Revision | undefined> {
    const count = Number(revision);
    const isDone = await this.#thread.call(['change', id, count], partsOf(parts), trace);
    return isDone ? String(count + 1) : undefined;
  }

  async writeTombstone(
    id: string,
    revision: Revision,
    head: Uint8Array,
    dueAtMs: number,
    trace?: RequestTrace,
  ): Promise<boolean> {
    const call: Call = ['writeTombstone', id, Number(revision), dueAtMs];
    return this.#thread.call(call, [[HEAD, head]], trace) as Promise<boolean>;
  }

  async read(id: string): Promise<StoredRecord | undefined> {
    const record = (await this.#thread.call(['read', id])) as CountedRecord | undefined;
    return record && { ...record, revision: String(record.revision) };
  }

  async due(nowMs: number, limit: number): Promise<string[]> {
    return this.#thread.call(['due', nowMs, limit]) as Promise<string[]>;
  }

  async postpone(id: string, dueAtMs: number): Promise<void> {
    await this.#thread.call(['postpone', id, dueAtMs]);
  }

  async forget(id: string): Promise<void> {
    await this.#thread.call(['forget', id]);
  }

  async list(
    after: string | undefined,
    limit: number,
    modelId?: string,
  ): Promise<ListedRecord[]> {
    return this.#thread.call(['list', after, limit, modelId]) as Promise<ListedRecord[]>;
  }

  async count(): Promise<number> {
    return this.#thread.call(['count']) as Promise<number>;
  }

  async secret(): Promise<string> {
    return this.#thread.call(['secret']) as Promise<string>;
  }

  async copyTo(path: string): Promise<void> {
    await this.#thread.copyTo(path);
  }

  async close(): Promise<void> {
    await this.#thread.close();
  }
}

function partsOf({ head, slots }: RecordParts): Part[] {
  return [[HEAD, head], ...slots];
}
