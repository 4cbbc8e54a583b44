// carryover key: makes API keys, and lists and revokes those of a file. The service reads the file again when it changes.
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { newKey } from '../access/api-key.ts';
import { type KeyEntry, type KeysFile, KeysFileError, KeysFileUnreadableError, NOTE_LENGTH_MAX, readKeysFile } from '../access/keys-file.ts';
import { SCOPES, type Scope, isScope } from '../access/principal.ts';
import { TENANT_PATTERN } from '../tenant.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, print, printJson } from './io.ts';
import { number, withExamples, withJson } from './options.ts';
import { formatTable } from './table.ts';

interface FileOptions {
  readonly file: string;
  readonly json?: boolean;
}

interface NewOptions extends FileOptions {
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  readonly expires?: string;
  readonly requestsPerS?: number;
  readonly flopsPerS?: number;
  readonly note?: string;
}

/** Only the user who has made the file reads it, unless it had other rights before. */
const FILE_MODE = 0o600;
/** Far more than a change takes. */
const LOCK_WAIT_MS = 2_000;
const LOCK_RETRY_MS = 20;
/** Less than one request in a quarter of an hour is no limit that anybody wants. */
const RATE_MIN = 0.001;

export function keyCommand(program: Command, io: Io): void {
  const key = program.command('key').description('Make, list and revoke the API keys of a file, the API_KEYS_FILE of a service.');
  withExamples(key, [
    'key new --tenant weather --scopes compute,sessions,models --file keys.json',
    'key list --file keys.json',
    'key revoke ID --file keys.json',
  ]);
  withFile(key.command('new'), io)
    .description('Make a key. It is printed once; the file has only its hash. The file is created if there is none.')
    .requiredOption('--tenant <name>', 'whose sessions and models the key reaches', tenantName)
    .requiredOption('--scopes <list>', `what it allows: ${SCOPES.join(', ')}, separated by commas`, scopeList)
    .option('--expires <time>', 'from when on it is refused, like 2030-01-31T00:00:00Z; never without it', time)
    .option('--requests-per-s <rate>', 'most requests a second with this key', number(RATE_MIN, 1e18))
    .option('--flops-per-s <rate>', 'most computed operations a second with this key', number(RATE_MIN, 1e18))
    .option('--note <text>', 'a note for people, kept in the file', noteText)
    .action((options: NewOptions) => make(options, io));
  withFile(key.command('list'), io)
    .description('List the keys, by their ids: the file does not have the keys themselves.')
    .action((options: FileOptions) => list(options, io));
  withFile(key.command('revoke'), io)
    .description('Take a key out of the file.')
    .argument('<id>', 'its id, which `carryover key list` shows')
    .action((id: string, options: FileOptions) => revoke(id, options, io));
}

function withFile(command: Command, { env }: Pick<Io, 'env'>): Command {
  const known = env['API_KEYS_FILE'];
  const text = 'the file of the keys; $API_KEYS_FILE without it';
  return known ? withJson(command).option('--file <path>', text, known) : withJson(command).requiredOption('--file <path>', text);
}

async function make({ file, tenant, scopes, expires, requestsPerS, flopsPerS, note, json }: NewOptions, io: Io): Promise<void> {
  const { key, id, hash } = newKey();
  const entry: KeyEntry = {
    id,
    hash,
    tenant,
    scopes: [...scopes],
    ...(requestsPerS !== undefined && { requests_per_s: requestsPerS }),
    ...(flopsPerS !== undefined && { flops_per_s: flopsPerS }),
    created_at: new Date().toISOString(),
    ...(expires !== undefined && { expires_at: expires }),
    ...(note !== undefined && { note }),
  };
  await change(file, () => {
    const before: KeysFile = existsSync(file) ? read(file) : { keys: [] };
    return { ...before, keys: [...before.keys, entry] };
  });
  if (json) return printJson(io, { key, id, tenant, scopes, file });
  io.stderr.write(`The key of tenant ${tenant}, with ${scopes.join(', ')}. It is not shown again: ${file} has only its hash.\n`);
  return print(io, key);
}

async function list({ file, json }: FileOptions, io: Io): Promise<void> {
  const { keys } = read(file);
  if (json) return printJson(io, keys.map(({ hash: _hash, ...shown }) => shown));
  const rows = keys.map(({ id, tenant, scopes, expires_at = 'never', note = '' }) => [id, tenant, scopes.join(','), expires_at, note]);
  return print(io, formatTable([['ID', 'TENANT', 'SCOPES', 'EXPIRES', 'NOTE'], ...rows], () => 'left'));
}

async function revoke(id: string, { file, json }: FileOptions, io: Io): Promise<void> {
  await change(file, () => {
    const before = read(file);
    const keys = before.keys.filter((entry) => entry.id !== id);
    if (keys.length < before.keys.length) return { ...before, keys };
    throw new CliError(EXIT.noInput, `${file} has no key with the id ${JSON.stringify(id)}; \`carryover key list --file ${file}\` lists them.`);
  });
  if (json) return printJson(io, { revoked: id, file });
  return print(io, `Revoked ${id}: a service that uses ${file} refuses it within a second or two.`);
}

function read(file: string): KeysFile {
  try {
    return readKeysFile(file);
  } catch (error) {
    if (!(error instanceof KeysFileError)) throw error;
    throw new CliError(error instanceof KeysFileUnreadableError ? EXIT.noInput : EXIT.data, error.message, { cause: error });
  }
}

/** Reads and replaces the file while no other command does: of two that read the same file one would undo the other. */
async function change(file: string, next: () => KeysFile): Promise<void> {
  // What the service reads, and not a link to it, is replaced.
  const target = existsSync(file) ? realpathSync(file) : file;
  // Beside a folder no lock is to be made.
  if (existsSync(target) && statSync(target).isDirectory()) throw new CliError(EXIT.noInput, `${file} is a folder, expected a file of keys.`);
  const lock = `${target}.lock`;
  await takeLock(file, lock);
  try {
    write(file, target, next());
  } finally {
    rmSync(lock, { force: true });
  }
}

async function takeLock(file: string, lock: string): Promise<void> {
  for (const endMs = Date.now() + LOCK_WAIT_MS; ; await sleep(LOCK_RETRY_MS)) {
    try {
      return writeFileSync(lock, '', { flag: 'wx', mode: FILE_MODE });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw notWritten(file, error);
      if (Date.now() < endMs) continue;
      throw new CliError(EXIT.cannotCreate, `${file} is being changed by another command; delete ${lock} if there is none.`);
    }
  }
}

/** Replaces the file as a whole: a service that reads it meanwhile sees the old one or the new one. */
function write(file: string, target: string, keys: KeysFile): void {
  const temporary = `${target}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(temporary, `${JSON.stringify(keys, undefined, 2)}\n`, { mode: FILE_MODE, flush: true });
    if (existsSync(target)) {
      const { mode, uid, gid } = statSync(target);
      // Of another user only root is asked: else the service could not read it any more.
      if (process.getuid?.() === 0) chownSync(temporary, uid, gid);
      chmodSync(temporary, mode);
    }
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw notWritten(file, error);
  }
}

function notWritten(file: string, error: unknown): CliError {
  return new CliError(EXIT.cannotCreate, `${file} cannot be written: ${(error as Error).message}.`, { cause: error });
}

function tenantName(text: string): string {
  if (new RegExp(TENANT_PATTERN).test(text)) return text;
  throw new InvalidArgumentError('Expected letters, digits, dot, dash and underscore, at most 64, a letter or a digit first.');
}

function scopeList(text: string): Scope[] {
  const scopes = text.split(',').map((word) => word.trim());
  if (scopes.every(isScope)) return [...new Set(scopes)];
  throw new InvalidArgumentError(`Expected some of ${SCOPES.join(', ')}, separated by commas.`);
}

function time(text: string): string {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('Expected a time like 2030-01-31T00:00:00Z.');
  if (ms <= Date.now()) throw new InvalidArgumentError('Expected a time that is still to come.');
  return new Date(ms).toISOString();
}

function noteText(text: string): string {
  if (text.length <= NOTE_LENGTH_MAX) return text;
  throw new InvalidArgumentError(`Expected at most ${NOTE_LENGTH_MAX} characters.`);
}
