// The API keys of a file, which is read again when it changes.
import { type BigIntStats, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Periodic, startPeriodic } from '../periodic.ts';
import { KeyCheck, NO_KEY, idOfKey } from './api-key.ts';
import { type KeyEntry, type TenantLimits, readKeysFile } from './keys-file.ts';
import type { Principal } from './principal.ts';

/**
 * How often its status is looked at. There are no events to wait for: Kubernetes replaces a mounted Secret through symbolic
 * links, and fs.watchFile() misses what changes before it first looks.
 */
const CHECKED_MS = 1_000;

export interface ApiKeysListener {
  /** The file has changed, and was read. */
  readonly onRead: (keyCount: number) => void;
  /** The file is not as expected; the keys that were read last stay good. */
  readonly onFailed: (error: unknown) => void;
}

interface KnownKey {
  readonly entry: KeyEntry;
  readonly check: KeyCheck;
  readonly expiresAtMs: number;
  readonly principal: Principal;
}

export class ApiKeys {
  readonly #path: string;
  readonly #listener: ApiKeysListener;
  readonly #watching: Periodic;
  /** Of the file that was read last. */
  #mark: string;
  #keys: ReadonlyMap<string, KnownKey> = new Map();
  #limits: ReadonlyMap<string, TenantLimits> = new Map();

  /** @throws KeysFileError */
  constructor(path: string, listener: ApiKeysListener) {
    this.#path = path;
    this.#listener = listener;
    // Before it is read: a change while it is read is seen afterwards.
    this.#mark = markOf(statSync(path, { bigint: true, throwIfNoEntry: false }));
    this.#read();
    this.#watching = startPeriodic(CHECKED_MS, () => this.#readIfChanged(), listener.onFailed);
  }

  get count(): number {
    return this.#keys.size;
  }

  /** What the file says of a tenant; undefined if it says nothing. */
  limitsOf(tenant: string): TenantLimits | undefined {
    return this.#limits.get(tenant);
  }

  /** Whose the key is; undefined if it is none of the file, or has expired. */
  find(key: string): Principal | undefined {
    const id = idOfKey(key);
    const known = id === undefined ? undefined : this.#keys.get(id);
    const isRight = (known?.check ?? NO_KEY).isRight(key);
    return known && isRight && known.expiresAtMs > Date.now() ? known.principal : undefined;
  }

  async close(): Promise<void> {
    await this.#watching.stop();
  }

  /** @throws KeysFileError */
  #read(): void {
    const { keys, tenants = {} } = readKeysFile(this.#path);
    this.#keys = new Map(keys.map((entry) => [entry.id, this.#known(entry)]));
    this.#limits = new Map(Object.entries(tenants));
  }

  /** A file that has gone, or cannot be read, is reported once. @throws KeysFileError */
  async #readIfChanged(): Promise<void> {
    const mark = markOf(await stat(this.#path, { bigint: true }).catch(() => undefined));
    if (mark === this.#mark) return;
    this.#mark = mark;
    this.#read();
    this.#listener.onRead(this.count);
  }

  #known(entry: KeyEntry): KnownKey {
    const { id, hash, tenant, scopes, requests_per_s, flops_per_s, expires_at } = entry;
    const expiresAtMs = expires_at === undefined ? Infinity : Date.parse(expires_at);
    // What a request was allowed holds for it as long as the file has the same entry.
    const isCurrent = () => {
      const now = this.#keys.get(id);
      const isSame = now?.entry.hash === hash && now.entry.tenant === tenant && String(now.entry.scopes) === String(scopes);
      return isSame && now.expiresAtMs > Date.now();
    };
    const principal = { tenant, scopes: new Set(scopes), name: `key:${id}`, rates: { requests_per_s, flops_per_s }, isCurrent };
    return { entry, check: new KeyCheck(hash), expiresAtMs, principal };
  }
}

/** Differs if the file was written or replaced. */
function markOf(stats: BigIntStats | undefined): string {
  return stats ? `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}` : 'none';
}
