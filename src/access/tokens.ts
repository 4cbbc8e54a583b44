// JSON Web Tokens of an issuer (JWT_ISSUER), whose keys it publishes as a JWKS (RFC 7519, RFC 7517).
import { hash } from 'node:crypto';
import { type JWTPayload, type JWTVerifyGetKey, createRemoteJWKSet, customFetch, errors, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { CarryoverError } from '../errors.ts';
import { TENANT_PATTERN } from '../tenant.ts';
import { type Principal, isScope } from './principal.ts';

export interface TokensOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Where the issuer publishes its keys. */
  readonly jwksUrl: URL;
  /** The claim that names the tenant. */
  readonly tenantClaim: string;
}

/** Signatures with a key pair: a secret that this service and the issuer share would have to be configured here. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
/** How far the clocks of issuer and service may differ, in seconds. */
const CLOCK_TOLERANCE_S = 5;
const JWKS_TIMEOUT_MS = 3_000;
/** Some hundred keys. */
const JWKS_BYTES_MAX = 256 * 1024;
const VERIFIED_MAX = 4_096;
/** A verified token is not verified again for so long: until then a key that the issuer has withdrawn is good. */
const VERIFIED_MS = 60_000;

/** Errors of jose that say that the token is not good; any other says that this could not be found out. */
const REFUSALS: ReadonlySet<string> = new Set([
  errors.JWTExpired.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWTInvalid.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
  errors.JWKSNoMatchingKey.code,
  errors.JWKSMultipleMatchingKeys.code,
]);

const TENANT = new RegExp(TENANT_PATTERN);

export class Tokens {
  readonly #options: TokensOptions;
  readonly #keys: JWTVerifyGetKey;
  /** By SHA-256 of the token: a token in memory would be one to steal. */
  readonly #verified = new LRUCache<string, Principal>({ max: VERIFIED_MAX, ttl: VERIFIED_MS });

  constructor(options: TokensOptions) {
    this.#options = options;
    this.#keys = createRemoteJWKSet(options.jwksUrl, {
      timeoutDuration: JWKS_TIMEOUT_MS,
      [customFetch]: fetchBounded,
    });
  }

  /**
   * Whose the token is; undefined if it is not good. No promise if it was verified shortly before.
   *
   * @throws access_unavailable if the issuer's keys cannot be had
   */
  find(token: string): Principal | undefined | Promise<Principal | undefined> {
    const digest = hash('sha256', token, 'base64url');
    const verified = this.#verified.get(digest);
    if (verified) return verified.isCurrent() ? verified : undefined;
    return this.#verify(token, digest);
  }

  async #verify(token: string, digest: string): Promise<Principal | undefined> {
    const { issuer, audience, tenantClaim } = this.#options;
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['exp', tenantClaim],
      });
      const principal = principalOf(payload, tenantClaim);
      if (principal) this.#verified.set(digest, principal);
      return principal;
    } catch (error) {
      if (error instanceof errors.JOSEError && REFUSALS.has(error.code)) return undefined;
      throw new CarryoverError('access_unavailable', {
        detail: `The keys of the tokens' issuer cannot be had from ${this.#options.jwksUrl.origin} at the moment.`,
        cause: error,
      });
    }
  }
}

/** As fetch, for an answer that may not be larger than keys are. @throws Error if it is */
async function fetchBounded(url: string, options: RequestInit): Promise<Response> {
  const response = await fetch(url, options);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > JWKS_BYTES_MAX) throw new Error(`The keys at ${url} have more than ${JWKS_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), response);
}

/** Undefined if the claim does not name a tenant. */
function principalOf(payload: JWTPayload, tenantClaim: string): Principal | undefined {
  const { exp = 0, sub, scope, scp } = payload;
  const tenant = payload[tenantClaim];
  if (typeof tenant !== 'string' || !TENANT.test(tenant)) return undefined;
  const scopes = new Set([...words(scope), ...words(scp)].filter(isScope));
  const expiresAtMs = (exp + CLOCK_TOLERANCE_S) * 1_000;
  const name = typeof sub === 'string' ? `sub:${sub.slice(0, 128)}` : 'token';
  return { tenant, scopes, name, rates: {}, isCurrent: () => expiresAtMs > Date.now() };
}

/** Of a claim that is a list, or a text of words (RFC 8693, section 4.2). */
function words(claim: unknown): string[] {
  if (Array.isArray(claim)) return claim.filter((word) => typeof word === 'string');
  return typeof claim === 'string' ? claim.split(' ') : [];
}
