// npm run verify:sqlite: a million idle sessions in the SQLite store: bytes, memory, time to open.
// About two minutes, and 1 GB in the folder for temporary files.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../../../src/store/sqlite/sqlite.ts';

const SESSIONS = 1_000_000;
const HEAD_BYTES = 400;
const GiB = 2 ** 30;
const MiB = 2 ** 20;
const MODEL_ID = 'sha256:model';
const options = { timeoutMs: 60_000, queueMax: 10_000 };

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'carryover-million-'));
const path = join(folder, 'carryover.sqlite');
if (process.argv[2]) await openMillion();
else {
  try {
    const isFine = [await makeMillion(), openAnew()].every(Boolean);
    console.log(isFine ? 'fine' : 'NOT fine');
    process.exitCode = isFine ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function makeMillion(): Promise<boolean> {
  const start = performance.now();
  const store = await openSqliteStore(path, options);
  await store.models.put({ id: MODEL_ID, file: new Uint8Array(8), createdAtMs: 0, isKept: true });
  const head = new Uint8Array(HEAD_BYTES).fill(7);
  for (let made = 0; made < SESSIONS; made += 1_000) {
    await Promise.all(
      Array.from({ length: 1_000 }, () => {
        const id = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64url');
        return store.create(id, { head, slots: new Map() }, 1e12 + made, MODEL_ID);
      }),
    );
  }
  const seconds = (performance.now() - start) / 1000;
  const wal = statSync(`${path}-wal`).size;
  await store.close();
  const bytes = statSync(path).size;
  console.log(
    `${SESSIONS} sessions made in ${seconds.toFixed(0)} s: ${(bytes / MiB).toFixed(0)} MiB ` +
      `(${(bytes / SESSIONS).toFixed(0)} bytes each), log ${(wal / MiB).toFixed(1)} MiB`,
  );
  return bytes + wal < 2 * GiB;
}

/** In a process of its own, so that its memory is that of a server that has just started. */
function openAnew(): boolean {
  const child = spawnSync(process.execPath, [import.meta.filename, folder], { stdio: 'inherit' });
  return child.status === 0;
}

async function openMillion(): Promise<void> {
  const start = performance.now();
  const store = await openSqliteStore(path, options);
  const openedMs = performance.now() - start;
  const first = await store.list(undefined, 100);
  const read = await store.read(first.at(-1)!.id);
  const due = await store.due(2e12, 100);
  const count = await store.count();
  const servedMs = performance.now() - start;
  const changed = await store.change(first[0]!.id, '0', { head: read!.head, slots: new Map() });
  const rss = process.memoryUsage.rss();
  console.log(
    `open after ${openedMs.toFixed(0)} ms, listed, read and counted after ` +
      `${servedMs.toFixed(0)} ms, ${(rss / MiB).toFixed(0)} MiB resident`,
  );
  await store.close();
  const isComplete = count === SESSIONS && first.length === 100 && due.length === 100 && changed === '1';
  process.exitCode = isComplete && servedMs < 5_000 && rss < 2 * GiB ? 0 : 1;
}
