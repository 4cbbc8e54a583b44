// The file of the API keys (API_KEYS_FILE): which keys there are, by their hashes, of which tenants they are, and what the
// tenants may use. `carryover key new` writes it.
import { readFileSync, statSync } from 'node:fs';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { TENANT_PATTERN } from '../tenant.ts';
import { SCOPES } from './principal.ts';

/** A file of a thousand keys has 300 KB. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

export const NOTE_LENGTH_MAX = 256;

const rate = (description: string) => Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1e18, description }));
const amount = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description }));
const tenantName = Type.String({ pattern: TENANT_PATTERN });

const rates = {
  requests_per_s: rate('Requests and messages of WebSockets a second.'),
  flops_per_s: rate('Operations of the computations a second.'),
};

export const TenantLimits = Type.Object(
  {
    ...rates,
    sessions: amount('Open sessions.'),
    state_bytes: amount('Bytes of the states of all open sessions.'),
    models: amount('Models that the tenant has registered, and names it has given.'),
    streams: amount('Streams and WebSockets at a time.'),
    body_bytes: amount('Bytes of request bodies in flight.'),
  },
  { additionalProperties: false },
);

export type TenantLimits = Static<typeof TenantLimits>;

const KeyEntry = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
    hash: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
    tenant: tenantName,
    scopes: Type.Array(Type.Enum([...SCOPES]), { minItems: 1, uniqueItems: true }),
    ...rates,
    created_at: Type.Optional(Type.String()),
    expires_at: Type.Optional(Type.String({ description: 'RFC 3339; the key is refused from then on.' })),
    note: Type.Optional(Type.String({ maxLength: NOTE_LENGTH_MAX })),
  },
  { additionalProperties: false },
);

export type KeyEntry = Static<typeof KeyEntry>;

const KeysFile = Type.Object(
  {
    keys: Type.Array(KeyEntry),
    tenants: Type.Optional(Type.Record(tenantName, TenantLimits)),
  },
  { additionalProperties: false },
);

export type KeysFile = Static<typeof KeysFile>;

export class KeysFileError extends Error {}

/** There is no such file, or it cannot be read. */
export class KeysFileUnreadableError extends KeysFileError {}

/** @throws KeysFileError, a KeysFileUnreadableError if the file cannot be read; it says what is wrong with the file, without its contents */
export function readKeysFile(path: string): KeysFile {
  const text = readText(path);
  const file = parse(path, text);
  if (!validator().Check(file)) {
    const [first] = validator().Errors(file);
    const what = first?.message === 'schema is false' ? 'is no field of such a file' : first?.message;
    throw new KeysFileError(`${path}: ${first?.instancePath || 'the file'} ${what}; \`carryover key new\` writes such files.`);
  }
  for (const { id, expires_at } of file.keys) {
    if (expires_at !== undefined && Number.isNaN(Date.parse(expires_at))) {
      throw new KeysFileError(`${path}: key ${id} has an expires_at that is no time, expected one like 2030-01-31T00:00:00Z.`);
    }
  }
  const ids = new Set<string>();
  for (const { id } of file.keys) {
    if (ids.has(id)) throw new KeysFileError(`${path} has two keys with the id ${id}, expected one.`);
    ids.add(id);
  }
  return file;
}

// Compiled at the first use: a service without keys does not pay for it.
let compiled: ReturnType<typeof Compile<typeof KeysFile>> | undefined;
const validator = () => (compiled ??= Compile(KeysFile));

function readText(path: string): string {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) {
      throw new KeysFileError(`${path} has more than ${FILE_BYTES_MAX} bytes, expected a file of keys.`);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof KeysFileError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EISDIR') throw new KeysFileUnreadableError(`${path} is a folder, expected a file of keys.`, { cause: error });
    const advice = code === 'ENOENT' ? ' `carryover key new` makes it.' : '';
    throw new KeysFileUnreadableError(`${path} cannot be read: ${message}.${advice}`, { cause: error });
  }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The error of JSON.parse quotes the text.
    throw new KeysFileError(`${path} is not JSON; \`carryover key new\` writes such files.`);
  }
}
