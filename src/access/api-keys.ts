// The API keys of a file, which is read again when it changes.
import { unwatchFile, watchFile } from 'node:fs';
import { NO_HASH, idOfKey, isKeyOf } from './api-key.ts';
import { type KeyEntry, type TenantLimits, readKeysFile } from './keys-file.ts';
import type { Principal } from './principal.ts';

/** Asked for by its status instead of by events: Kubernetes replaces a mounted Secret through symbolic links. */
const CHECKED_MS = 1_000;

export interface ApiKeysListener {
  /** The file has changed, and was read. */
  readonly onRead: (keyCount: number) => void;
  /** The file is not as expected; the keys that were read last stay good. */
  readonly onFailed: (error: unknown) => void;
}

interface KnownKey {
  readonly entry: KeyEntry;
  readonly expiresAtMs: number;
  readonly principal: Principal;
}

export class ApiKeys {
  readonly #path: string;
  readonly #listener: ApiKeysListener;
  #keys: ReadonlyMap<string, KnownKey> = new Map();
  #limits: ReadonlyMap<string, TenantLimits> = new Map();

  /** @throws KeysFileError */
  constructor(path: string, listener: ApiKeysListener) {
    this.#path = path;
    this.#listener = listener;
    this.#read();
    // Neither a timer nor a watcher of its own keeps the process alive.
    watchFile(path, { interval: CHECKED_MS, persistent: false }, this.#onChange);
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
    const isRight = isKeyOf(key, known?.entry.hash ?? NO_HASH);
    return known && isRight && known.expiresAtMs > Date.now() ? known.principal : undefined;
  }

  close(): void {
    unwatchFile(this.#path, this.#onChange);
  }

  /** @throws KeysFileError */
  #read(): void {
    const { keys, tenants = {} } = readKeysFile(this.#path);
    this.#keys = new Map(keys.map((entry) => [entry.id, this.#known(entry)]));
    this.#limits = new Map(Object.entries(tenants));
  }

  readonly #onChange = (): void => {
    try {
      this.#read();
      this.#listener.onRead(this.count);
    } catch (error) {
      this.#listener.onFailed(error);
    }
  };

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
    return { entry, expiresAtMs, principal };
  }
}
