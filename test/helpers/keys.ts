// Files of API keys for tests.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKey } from '../../src/access/api-key.ts';
import type { KeyEntry, TenantLimits } from '../../src/access/keys-file.ts';
import { closeAtEnd } from './cleanup.ts';

export interface TestKeys {
  readonly file: string;
  /** The keys, in the order of the tenants. */
  readonly keys: readonly string[];
  /** Writes other limits into the file. */
  setLimits(tenants: Record<string, TenantLimits>): void;
}

/** A file with a key for each tenant, with the scopes that a client has. */
export function writeKeys(
  tenants: readonly string[],
  limits: Record<string, TenantLimits> = {},
  ofKeys: Partial<KeyEntry> = {},
): TestKeys {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-keys-'));
  closeAtEnd(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'keys.json');
  const made = tenants.map((tenant) => ({ ...newKey(), tenant }));
  const keys = made.map(({ id, hash, tenant }) => ({
    id,
    hash,
    tenant,
    scopes: ['compute', 'sessions', 'models'],
    ...ofKeys,
  }));
  const write = (said: Record<string, TenantLimits>) => writeFileSync(file, JSON.stringify({ keys, tenants: said }));
  write(limits);
  return { file, keys: made.map(({ key }) => key), setLimits: write };
}
