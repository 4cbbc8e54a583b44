// A finished copy of the database, before it becomes a backup: it is made independent of the original, and read.
import { randomInt } from 'node:crypto';
import type { SessionId, StoredRecord } from '../store.ts';
import { type Connection, checkFormat, connect } from './open.ts';
import { SLOTS_MAX } from './schema.ts';
import { firstGeneration, formatOf, userVersionOf } from './wal-match.ts';

/** A record as it is in the file. */
export interface CopiedRecord extends Omit<StoredRecord, 'revision'> {
  readonly id: SessionId;
}

export class BackupFile {
  readonly #connection: Connection;

  /**
   * Opens the copy, and gives it a generation of its own: a service that is started with it refuses the log of the
   * original, if that was left beside it (wal-match.ts).
   *
   * @throws Refusal · an error of SQLite
   */
  constructor(path: string) {
    this.#connection = connect(path);
    const pragma = (sql: string) => this.#connection.pragma(sql, { simple: true });
    // Without it SQLite would create a file of shared memory beside the copy.
    pragma('locking_mode = EXCLUSIVE');
    const format = formatOf(pragma('user_version') as number);
    checkFormat(path, pragma('application_id'), format);
    // So that the backup is one file, for any program that reads it.
    pragma('journal_mode = DELETE');
    pragma(`user_version = ${userVersionOf(format, firstGeneration(randomInt(2 ** 32) / 2 ** 32))}`);
  }

  /** What SQLite finds wrong with pages and indexes, in one line; undefined if nothing is. */
  findDamage(): string | undefined {
    const found = this.#connection.prepare('PRAGMA integrity_check(3)').pluck().all() as string[];
    return found.length === 1 && found[0] === 'ok' ? undefined : found.join('; ');
  }

  /** All records and tombstones, one at a time. @throws an error of SQLite */
  *records(): Generator<CopiedRecord> {
    const next = this.#connection.prepare('SELECT key, id, head FROM records WHERE key > ? ORDER BY key LIMIT 1');
    const slots = this.#connection.prepare('SELECT key, bytes FROM slots WHERE key >= ? AND key < ?');
    for (let after = -1; ; ) {
      const row = next.get(after) as { key: number; id: SessionId; head: Uint8Array } | undefined;
      if (!row) return;
      const { key, id, head } = row;
      const first = key * SLOTS_MAX;
      const rows = slots.all(first, first + SLOTS_MAX) as { key: number; bytes: Uint8Array }[];
      yield { id, head, slots: new Map(rows.map((slot) => [slot.key - first, slot.bytes])) };
      after = key;
    }
  }

  /** All models, one at a time. @throws an error of SQLite */
  *models(): Generator<{ readonly id: string; readonly file: Uint8Array }> {
    const next = this.#connection.prepare('SELECT key, id, file FROM models WHERE key > ? ORDER BY key LIMIT 1');
    for (let after = -1; ; ) {
      const row = next.get(after) as { key: number; id: string; file: Uint8Array } | undefined;
      if (!row) return;
      yield row;
      after = row.key;
    }
  }

  /** @throws an error of SQLite */
  close(): void {
    this.#connection.close();
  }
}
