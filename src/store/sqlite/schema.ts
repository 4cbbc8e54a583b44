// The tables in the database file. A file of any version with the same FORMAT can be opened; one of an earlier format
// is migrated (migrations.ts), so that it has the same tables as a new file.

/** "CARR" in ASCII: distinguishes the files of this program from those of others. */
export const APPLICATION_ID = 0x43415252;

/** Increased with each change of the tables; migrations.ts then has one more step. Servers of earlier versions refuse it. */
export const FORMAT = 2;
/** The earliest format that can be migrated. */
export const FORMAT_MIN = 1;

/** Slots of a record are numbered below this. */
export const SLOTS_MAX = 2 ** 16;

/** The live sessions of a model in the order of their ids. */
export const LIVE_RECORDS_INDEX =
  'CREATE INDEX IF NOT EXISTS live_records_by_id ON records (model, id) WHERE model IS NOT NULL';

/**
 * The models that came with the weights of a session, and are removed with the last session that pins them. In
 * files of format 1 that lack the table all models are kept.
 */
export const INLINE_MODELS = `
  CREATE TABLE IF NOT EXISTS inline_models (
    model INTEGER PRIMARY KEY REFERENCES models ON DELETE CASCADE
  ) STRICT;
`;

/** The secret of the store (SessionStore.secret). */
export const SECRET = `
  CREATE TABLE IF NOT EXISTS secret (key INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
  INSERT OR IGNORE INTO secret VALUES (1, hex(randomblob(16)));
`;

/**
 * A record with a model is live, one without is a tombstone. A change writes two pages, that of the head and that
 * of the slot: no indexed column is changed by it.
 *
 * SQLite keeps these statements in the file word for word, with their comments: they are part of the format.
 */
export const SCHEMA = `
  CREATE TABLE models (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    file BLOB NOT NULL
  ) STRICT;
  CREATE TABLE names (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    model INTEGER NOT NULL REFERENCES models ON DELETE CASCADE
  ) STRICT;
  CREATE INDEX names_by_model ON names (model);
  CREATE TABLE records (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    model INTEGER REFERENCES models,
    due_at REAL NOT NULL,
    head BLOB NOT NULL
  ) STRICT;
  CREATE INDEX records_by_due ON records (due_at);
  ${LIVE_RECORDS_INDEX};
  CREATE TABLE slots (
    key INTEGER PRIMARY KEY, -- that of the record × ${SLOTS_MAX} + the number of the slot
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE TABLE probe (key INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  INSERT INTO probe VALUES (1, zeroblob(65536));
  ${INLINE_MODELS}
  ${SECRET}
`;
