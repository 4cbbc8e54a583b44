// What several settings say together.
import { coresAvailable } from '../cores.ts';
import type { Config } from './schema.ts';

type Shares = Pick<Config, 'PROCESSES' | 'WORKERS'>;

/** How many processes serve together. */
export function processesOf({ PROCESSES, WORKERS = 1 }: Shares, cores = coresAvailable()): number {
  return PROCESSES === 'auto' ? Math.max(1, Math.floor(cores / (1 + WORKERS))) : Number(PROCESSES);
}

/** How many worker threads each of them has: unless it is set, the threads of all processes have a core each, the event loops too. */
export function workersOf(config: Shares, cores = coresAvailable()): number {
  return config.WORKERS ?? Math.max(1, Math.floor(cores / processesOf(config, cores)) - 1);
}

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
