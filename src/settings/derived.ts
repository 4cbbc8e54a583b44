// What several settings say together.
import type { Config } from './schema.ts';

/** Whether callers need an API key or a token. */
export function hasAccessControl({ API_KEYS_FILE, JWT_ISSUER }: Config): boolean {
  return API_KEYS_FILE !== '' || JWT_ISSUER !== '';
}

export function jwksUrlOf({ JWT_ISSUER, JWT_JWKS_URL }: Config): string {
  return JWT_JWKS_URL || `${JWT_ISSUER.replace(/\/$/, '')}/.well-known/jwks.json`;
}

/** The limits of tenants of which the file of the keys says nothing; undefined is no limit. */
export function tenantLimitsOf(config: Config) {
  const limit = (setting: number) => setting || undefined;
  return {
    requests_per_s: limit(config.TENANT_REQUESTS_PER_S),
    flops_per_s: limit(config.TENANT_FLOPS_PER_S),
    sessions: limit(config.TENANT_SESSIONS_MAX),
    state_bytes: limit(config.TENANT_STATE_BYTES_MAX),
    models: limit(config.TENANT_MODELS_MAX),
    streams: limit(config.TENANT_STREAMS_MAX),
    body_bytes: limit(config.TENANT_BODY_BYTES_MAX),
  };
}
