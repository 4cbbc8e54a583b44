// API keys and an issuer of tokens, for tests of who may call what.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type JWTPayload, SignJWT, exportJWK, generateKeyPair } from 'jose';
import { newKey } from '../../src/access/api-key.ts';
import type { KeyEntry, TenantLimits } from '../../src/access/keys-file.ts';
import type { Scope } from '../../src/access/principal.ts';
import { closeAtEnd } from './cleanup.ts';

const { createServer } = process.getBuiltinModule('node:http');

export interface TestKeys {
  /** For API_KEYS_FILE. */
  readonly path: string;
  /** Adds a key to the file, and returns it. */
  add(tenant: string, scopes?: readonly Scope[], more?: Partial<KeyEntry>): string;
  /** Takes all keys of a tenant out of the file. */
  revoke(tenant: string): void;
  limit(tenant: string, limits: TenantLimits): void;
}

/** A file of keys, which is deleted after the tests of the file. */
export function makeKeys(): TestKeys {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-keys-'));
  closeAtEnd(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'keys.json');
  let keys: KeyEntry[] = [];
  const tenants: Record<string, TenantLimits> = {};
  const write = () => writeFileSync(path, JSON.stringify({ keys, tenants }));
  write();
  return {
    path,
    add(tenant, scopes = ['compute', 'sessions', 'models'], more = {}) {
      const { key, id, hash } = newKey();
      keys.push({ id, hash, tenant, scopes: [...scopes], ...more });
      write();
      return key;
    },
    revoke(tenant) {
      keys = keys.filter((entry) => entry.tenant !== tenant);
      write();
    },
    limit(tenant, limits) {
      tenants[tenant] = limits;
      write();
    },
  };
}

export interface TestIssuer {
  readonly issuer: string;
  readonly audience: string;
  /** How often its keys were asked for. */
  readonly requests: () => number;
  /** A token with these claims beside the usual ones; undefined takes one away. */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
  /** A token that is right but for the key that signs it, which is not the issuer's. */
  forgedToken(claims?: Record<string, unknown>): Promise<string>;
  /** Its public key as text, with which an attacker might sign by HS256. */
  readonly publicKeyText: string;
  stop(): Promise<void>;
}

const KEY_ID = 'first';

/** Publishes its keys on a port of its own until the tests of the file have ended. */
export async function startIssuer(): Promise<TestIssuer> {
  const [own, other] = await Promise.all([generateKeyPair('ES256'), generateKeyPair('ES256')]);
  const jwk = { ...(await exportJWK(own.publicKey)), kid: KEY_ID, alg: 'ES256', use: 'sig' };
  let count = 0;
  const server = createServer((_, response) => {
    count++;
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const audience = 'carryover';
  const stop = async () => {
    server.closeAllConnections();
    if (server.listening) await once(server.close(), 'close');
  };
  closeAtEnd(stop);
  const sign = (key: CryptoKey, claims: Record<string, unknown>, header = {}) => {
    const nowS = Math.floor(Date.now() / 1_000);
    const usual = { iss: issuer, aud: audience, exp: nowS + 600, iat: nowS, sub: 'u', tenant: 'a', scope: 'compute sessions models' };
    const payload = JSON.parse(JSON.stringify({ ...usual, ...claims })) as JWTPayload;
    return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: KEY_ID, ...header }).sign(key);
  };
  return {
    issuer,
    audience,
    requests: () => count,
    token: (claims = {}, header = {}) => sign(own.privateKey, claims, header),
    forgedToken: (claims = {}) => sign(other.privateKey, claims),
    publicKeyText: JSON.stringify(jwk),
    stop,
  };
}
