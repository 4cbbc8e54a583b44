// Checks of settings against each other.
import { hasAccessControl, jwksUrlOf } from './derived.ts';
import { formProblems } from './forms.ts';
import { isLoopbackHost } from './hosts.ts';
import type { Config } from './schema.ts';
import { withoutSecrets } from './setting-error.ts';

/** Settings that are valid each by itself, but not together. */
export interface Conflict {
  readonly settings: readonly (keyof Config)[];
  readonly message: string;
}

type Bounds = Omit<Config, 'WORKERS'>;

/** The part of MEMORY_BYTES_MAX that models and bodies must leave free for jobs and responses. */
const WORKING_SHARE = 1 / 8;

export function conflictsIn(config: Config): Conflict[] {
  const conflicts: Conflict[] = [];
  const atMost = (lower: keyof Bounds, upper: keyof Bounds, why: string) => {
    if (config[lower] <= config[upper]) return;
    const message =
      `${lower} must be <= ${upper}, got ${config[lower]} > ${config[upper]}: ${why}`;
    conflicts.push({ settings: [lower, upper], message });
  };
  atMost('BODY_BYTES_MAX', 'BODIES_BYTES_MAX', 'the largest body could never be received');
  atMost('SESSION_TTL_S', 'SESSION_TTL_S_MAX', 'the default lifetime would be longer than any');
  atMost('DRAIN_DELAY_MS', 'SHUTDOWN_TIMEOUT_MS', 'every exit would be forced before requests are done');
  const { MODELS_BYTES_MAX: models, BODIES_BYTES_MAX: bodies, MEMORY_BYTES_MAX: memory } = config;
  if (models + bodies > memory * (1 - WORKING_SHARE)) {
    conflicts.push({
      settings: ['MODELS_BYTES_MAX', 'BODIES_BYTES_MAX', 'MEMORY_BYTES_MAX'],
      message:
        `MODELS_BYTES_MAX + BODIES_BYTES_MAX must be <= 7/8 of MEMORY_BYTES_MAX, got ${models} + ` +
        `${bodies} > 7/8 of ${memory}: full of models and bodies, it would have no free space to compute`,
    });
  }
  if (config.METRICS_PORT !== 0 && config.METRICS_PORT === config.PORT) {
    conflicts.push({
      settings: ['METRICS_PORT', 'PORT'],
      message: `METRICS_PORT must differ from PORT, got ${config.PORT} for both: metrics are never on the public port`,
    });
  }
  if (config.BACKUP_DIR !== '' && config.METRICS_PORT === 0) {
    conflicts.push({
      settings: ['BACKUP_DIR', 'METRICS_PORT'],
      message: 'BACKUP_DIR needs METRICS_PORT, got 0: there `POST /backup` is answered, as it is not for clients',
    });
  }
  if (config.BACKUP_DIR !== '' && !config.STORE_URL.startsWith('sqlite:')) {
    conflicts.push({
      settings: ['BACKUP_DIR', 'STORE_URL'],
      message: `BACKUP_DIR needs a \`sqlite:\` store, got STORE_URL=${withoutSecrets(config.STORE_URL)}: back up Redis by its own means`,
    });
  }
  conflicts.push(...accessConflictsIn(config));
  // Also where `auto` would be one process: whether a configuration is valid does not depend on the machine.
  if (config.PROCESSES !== '1' && !config.STORE_URL.startsWith('redis')) {
    const isFile = config.STORE_URL.startsWith('sqlite:');
    const reason = isFile ? 'a SQLite file belongs to one process' : 'what one process has in its memory the others cannot see';
    conflicts.push({
      settings: ['PROCESSES', 'STORE_URL'],
      message:
        `PROCESSES=${config.PROCESSES} needs Redis, got STORE_URL=${withoutSecrets(config.STORE_URL)}: ${reason}. ` +
        'Set STORE_URL=redis://…, or leave PROCESSES out',
    });
  }
  if (config.REDIS_WAIT_REPLICAS > 0 && !config.STORE_URL.startsWith('redis')) {
    conflicts.push({
      settings: ['REDIS_WAIT_REPLICAS', 'STORE_URL'],
      message: `REDIS_WAIT_REPLICAS needs Redis, got STORE_URL=${withoutSecrets(config.STORE_URL)}`,
    });
  }
  conflicts.push(...formProblems(config));
  if ((config.TLS_CERT_FILE === '') !== (config.TLS_KEY_FILE === '')) {
    const [given, missing] = config.TLS_CERT_FILE === '' ? ['KEY', 'CERT'] : ['CERT', 'KEY'];
    conflicts.push({
      settings: ['TLS_CERT_FILE', 'TLS_KEY_FILE'],
      message: `TLS_${given}_FILE needs TLS_${missing}_FILE: a certificate and its private key`,
    });
  }
  return conflicts;
}

function accessConflictsIn(config: Config): Conflict[] {
  const { JWT_ISSUER, JWT_AUDIENCE, JWT_JWKS_URL, HOST, ALLOW_ANONYMOUS } = config;
  const conflicts: Conflict[] = [];
  if ((JWT_ISSUER === '') !== (JWT_AUDIENCE === '')) {
    conflicts.push({
      settings: ['JWT_ISSUER', 'JWT_AUDIENCE'],
      message:
        'JWT_ISSUER and JWT_AUDIENCE must be set both or neither: without an audience a token that was issued for another ' +
        'service would be accepted',
    });
  }
  const jwksUrl = jwksUrlOf(config);
  if (JWT_ISSUER !== '' && !(URL.canParse(jwksUrl) && /^https?:$/.test(new URL(jwksUrl).protocol))) {
    conflicts.push({
      settings: ['JWT_ISSUER', 'JWT_JWKS_URL'],
      message: `JWT_JWKS_URL must be an address like https://issuer.example/.well-known/jwks.json, got ${JSON.stringify(jwksUrl)}`,
    });
  }
  if (JWT_ISSUER === '' && JWT_JWKS_URL !== '') {
    conflicts.push({ settings: ['JWT_JWKS_URL', 'JWT_ISSUER'], message: 'JWT_JWKS_URL needs JWT_ISSUER, got none' });
  }
  if (!isLoopbackHost(HOST) && !hasAccessControl(config) && !ALLOW_ANONYMOUS) {
    conflicts.push({
      settings: ['HOST', 'API_KEYS_FILE', 'ALLOW_ANONYMOUS'],
      message:
        `HOST=${HOST} is reached from other machines, and there are neither API keys nor tokens: whoever reaches it could use, ` +
        'change and delete all models and sessions. Make a key with `carryover key new` and set API_KEYS_FILE, or set ' +
        'ALLOW_ANONYMOUS=true if the network lets only the right clients in',
    });
  }
  return conflicts;
}
