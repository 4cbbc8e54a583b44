// Checks a copy of a SQLite store and prints what it has: pages and indexes by SQLite, every record and model as the
// service reads them.
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { readStoredFile } from '../models/stored-file.ts';
import { decodeRecord, isTombstone } from '../sessions/record.ts';
import { BackupFile } from '../store/sqlite/backup-file.ts';
import type { CheckReply } from './check.ts';

const READ_BYTES = 1024 * 1024;

const [, , path = ''] = process.argv;
process.stdout.write(JSON.stringify(await check(path)));

async function check(file: string): Promise<CheckReply> {
  const backup = new BackupFile(file);
  try {
    const damage = backup.findDamage();
    if (damage !== undefined) return { damage: `SQLite finds it damaged: ${damage}. The original may be damaged too.` };
    const sessions = countSessions(backup);
    const models = await countModels(backup);
    backup.close();
    return { bytes: statSync(file).size, sessions, models, digest: await digestOf(file) };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { damage: `${(error as Error).message} Delete it in the service, then make a backup.` };
  } finally {
    backup.close();
  }
}

/** @throws session_corrupt */
function countSessions(backup: BackupFile): number {
  let count = 0;
  for (const { id, ...parts } of backup.records()) if (!isTombstone(decodeRecord(id, parts))) count++;
  return count;
}

/** @throws model_corrupt */
async function countModels(backup: BackupFile): Promise<number> {
  let count = 0;
  for (const { id, file } of backup.models()) {
    await readStoredFile(id, file);
    count++;
  }
  return count;
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: READ_BYTES }), hash);
  return `sha256:${hash.digest('hex')}`;
}

function isDamage(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === 'session_corrupt' || code === 'model_corrupt';
}
