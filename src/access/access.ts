// Decides who makes a request, by the key or the token in its headers.
import type { IncomingHttpHeaders } from 'node:http';
import { CarryoverError } from '../errors.ts';
import { type ApiKeysListener, ApiKeys } from './api-keys.ts';
import type { TenantLimits } from './keys-file.ts';
import { type Principal, type Scope, allows } from './principal.ts';
import type { Tokens, TokensOptions } from './tokens.ts';

export interface AccessOptions {
  /** The file of the keys; undefined if there are none. */
  readonly keysFile: string | undefined;
  /** Undefined if no tokens are accepted. */
  readonly tokens: TokensOptions | undefined;
}

/** A browser cannot set headers of a WebSocket: there the key or token is in this subprotocol, beside `carryover`. */
const SUBPROTOCOL = 'bearer.';
const BEARER = /^bearer +(\S+) *$/i;

export class Access {
  readonly #keys: ApiKeys | undefined;
  readonly #tokens: Tokens | undefined;

  /** @throws KeysFileError */
  static async open({ keysFile, tokens }: AccessOptions, listener: ApiKeysListener): Promise<Access | undefined> {
    if (keysFile === undefined && !tokens) return undefined;
    const keys = keysFile === undefined ? undefined : new ApiKeys(keysFile, listener);
    // Its library is loaded only where it is used.
    return new Access(keys, tokens && new (await import('./tokens.ts')).Tokens(tokens));
  }

  private constructor(keys: ApiKeys | undefined, tokens: Tokens | undefined) {
    this.#keys = keys;
    this.#tokens = tokens;
  }

  /** For the log. */
  get description(): string {
    const keys = this.#keys && `${this.#keys.count} API keys`;
    return [keys, this.#tokens && 'tokens'].filter(Boolean).join(' and ');
  }

  /** What the file of the keys says of a tenant; undefined if it says nothing. */
  limitsOf(tenant: string): TenantLimits | undefined {
    return this.#keys?.limitsOf(tenant);
  }

  /** @throws unauthenticated · access_unavailable */
  authenticate(headers: IncomingHttpHeaders): Principal | Promise<Principal> {
    const secret = secretIn(headers);
    const found = this.#keys?.find(secret) ?? this.#tokens?.find(secret);
    if (found instanceof Promise) return found.then(expectFound);
    return expectFound(found);
  }

  /** @throws unauthenticated · forbidden unless it is a key or a token with the scope · access_unavailable */
  async expectScope(headers: IncomingHttpHeaders, scope: Scope): Promise<void> {
    const principal = await this.authenticate(headers);
    if (allows(principal, scope)) return;
    throw new CarryoverError('forbidden', { detail: `This needs a key or a token with the scope ${scope}.` });
  }

  async close(): Promise<void> {
    await this.#keys?.close();
  }
}

/** @throws unauthenticated */
function expectFound(principal: Principal | undefined): Principal {
  if (principal) return principal;
  throw new CarryoverError('unauthenticated', {
    detail: 'The API key or token is not known here, or has expired.',
  });
}

/** The key or token of a request. @throws unauthenticated if it has none, or two that differ */
function secretIn(headers: IncomingHttpHeaders): string {
  const { authorization, 'x-api-key': apiKey, 'sec-websocket-protocol': protocols } = headers;
  // What nearly every request has, without the lists below.
  if (apiKey === undefined && protocols === undefined) {
    const secret = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
    if (secret !== undefined) return secret;
  }
  const given = [
    authorization === undefined ? undefined : (BEARER.exec(authorization)?.[1] ?? ''),
    Array.isArray(apiKey) ? apiKey.join() : apiKey,
    subprotocolSecret(protocols),
  ].filter((secret) => secret !== undefined);
  const [secret] = given;
  if (secret !== undefined && secret !== '' && given.every((other) => other === secret)) return secret;
  const isBearer = authorization === undefined || /^(bearer *)?$/i.test(authorization);
  const other = isBearer ? 'an empty one' : 'another form of Authorization';
  const found = given.length > 1 ? 'several that differ' : secret === '' ? other : 'none';
  throw new CarryoverError('unauthenticated', {
    detail: `Expected an API key or a token as \`Authorization: Bearer …\` or \`x-api-key: …\`, got ${found}.`,
  });
}

function subprotocolSecret(protocols: string | undefined): string | undefined {
  const protocol = protocols?.split(',').map((text) => text.trim()).find((text) => text.startsWith(SUBPROTOCOL));
  return protocol?.slice(SUBPROTOCOL.length);
}
