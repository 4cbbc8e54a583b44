import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { storeContract } from './contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-sqlite-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const options = { timeoutMs: 5_000, queueMax: 4_000 };

storeContract('sqlite', {
  open: () => openSqliteStore(join(folder, `${++files}/carryover.sqlite`), options),
  reopen: () => openSqliteStore(join(folder, `${files}/carryover.sqlite`), options),
});
