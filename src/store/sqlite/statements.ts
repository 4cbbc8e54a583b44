// All SQL statements that the store executes on an open database, prepared once.
import type { Connection } from './open.ts';

/** The prepared statements of a connection, by what they do. */
export type Statements = ReturnType<typeof prepareStatements>;

/** @throws an error of SQLite if a table or column is missing */
export function prepareStatements(connection: Connection) {
  const sql = (text: string) => connection.prepare(text);
  return {
    begin: sql('BEGIN IMMEDIATE'),
    commit: sql('COMMIT'),
    rollback: sql('ROLLBACK'),
    walLength: sql('PRAGMA wal_checkpoint(NOOP)'),
    checkpoint: sql('PRAGMA wal_checkpoint(PASSIVE)'),
    checkpointAndTruncate: sql('PRAGMA wal_checkpoint(TRUNCATE)'),
    probe: sql('UPDATE probe SET bytes = randomblob(65536)'),

    create: sql(
      `INSERT INTO records (id, revision, model, due_at, head) VALUES (?, ?, ?, ?, ?)
       RETURNING key`,
    ).pluck(),
    change: sql(
      `UPDATE records SET head = ?, revision = revision + 1
       WHERE id = ? AND revision = ? AND model IS NOT NULL RETURNING key`,
    ).pluck(),
    writeTombstone: sql(
      `UPDATE records SET head = ?, due_at = ?, revision = revision + 1, model = NULL
       WHERE id = ? AND revision = ? AND model IS NOT NULL RETURNING key`,
    ).pluck(),
    postpone: sql('UPDATE records SET due_at = ? WHERE id = ?'),
    forget: sql('DELETE FROM records WHERE id = ? AND model IS NULL'),
    findRecord: sql('SELECT key, revision, head FROM records WHERE id = ?'),
    due: sql('SELECT id FROM records WHERE due_at <= ? ORDER BY due_at LIMIT ?').pluck(),
    list: sql(
      'SELECT id, head FROM records WHERE id > ? AND model IS NOT NULL ORDER BY id LIMIT ?',
    ),
    listOfModel: sql(
      `SELECT id, head FROM records
       WHERE model = (SELECT key FROM models WHERE models.id = ?) AND records.id > ?
       ORDER BY records.id LIMIT ?`,
    ),
    countLive: sql('SELECT count(*) FROM records WHERE model IS NOT NULL').pluck(),

    putSlot: sql(
      'INSERT INTO slots VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes',
    ),
    slots: sql('SELECT key, bytes FROM slots WHERE key >= ? AND key < ? ORDER BY key'),
    deleteSlots: sql('DELETE FROM slots WHERE key >= ? AND key < ?'),

    modelKey: sql('SELECT key FROM models WHERE id = ?').pluck(),
    putModel: sql(
      `INSERT INTO models (id, created_at, file) VALUES (?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET file = excluded.file WHERE file <> excluded.file`,
    ),
    isPinned: sql(
      'SELECT 1 FROM models JOIN records ON records.model = models.key WHERE models.id = ? LIMIT 1',
    ).pluck(),
    removeModel: sql('DELETE FROM models WHERE id = ?'),
    keepModel: sql(
      'DELETE FROM inline_models WHERE model = (SELECT key FROM models WHERE id = ?)',
    ),
    markInline: sql('INSERT OR IGNORE INTO inline_models SELECT key FROM models WHERE id = ?'),
    collectModel: sql(
      `DELETE FROM models WHERE id = ? AND key IN (SELECT model FROM inline_models)
       AND NOT EXISTS (SELECT 1 FROM records WHERE records.model = models.key)`,
    ),
    getModel: sql(
      `SELECT id, file, created_at AS createdAtMs,
         EXISTS (SELECT 1 FROM inline_models WHERE model = models.key) AS isInline
       FROM models WHERE id = ?`,
    ),
    findModel: sql(
      `SELECT EXISTS (SELECT 1 FROM inline_models WHERE model = models.key) AS isInline
       FROM models WHERE id = ? AND file = ?`,
    ),
    modelIds: sql('SELECT id FROM models ORDER BY key').pluck(),
    point: sql(
      `INSERT INTO names (name, model) SELECT ?, key FROM models WHERE id = ?
       ON CONFLICT (name) DO UPDATE SET model = excluded.model`,
    ),
    unpoint: sql('DELETE FROM names WHERE name = ? AND model = (SELECT key FROM models WHERE id = ?)'),
    isNamed: sql('SELECT 1 FROM names WHERE model = (SELECT key FROM models WHERE id = ?) LIMIT 1').pluck(),
    isPointed: sql(
      `SELECT 1 FROM names JOIN models ON names.model = models.key WHERE name = ? AND id = ?
       AND names.model NOT IN (SELECT model FROM inline_models)`,
    ),
    secret: sql('SELECT text FROM secret').pluck(),
    names: sql(
      'SELECT name, id FROM names JOIN models ON names.model = models.key ORDER BY names.key',
    ),
  };
}
