// All configuration, from environment variables only: one schema, the type derived from it, checks of settings
// against each other, and all problems reported at once. This is the only file that reads process.env.
import { envSchema } from 'env-schema';
import { type Static, Type } from 'typebox';
import { coresAvailable } from './cores.ts';
import { formProblems } from './settings/forms.ts';
import { isLoopbackHost } from './settings/hosts.ts';

const MiB = 1024 * 1024;

const integer = (initial: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ default: initial, minimum, maximum, description });

export const ConfigSchema = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', minLength: 1, description: 'Address to listen on.' }),
  PORT: integer(8080, 0, 65_535, 'Port to listen on; 0 takes a free one.'),
  METRICS_PORT: integer(0, 0, 65_535, 'Port for `GET /metrics`, of its own; 0: no metrics.'),
  METRICS_HOST: Type.String({ default: '', description: 'Address of METRICS_PORT; empty: that of HOST.' }),
  BACKUP_DIR: Type.String({
    default: '',
    description: 'Folder for backups of a `sqlite:` store, which `POST /backup` on METRICS_PORT makes; empty: none.',
  }),
  TRUST_PROXY: Type.String({
    default: '',
    description:
      'Whose X-Forwarded-For says which client a request is of, in logs: `true` for any peer, how many proxies there are, or ' +
      'their addresses, `10.0.0.0/8,192.0.2.1`; empty: nobody\'s.',
  }),
  API_KEYS_FILE: Type.String({
    default: '',
    description: 'File of the API keys, which `carryover key new` writes; it is read again when it changes. Empty: none.',
  }),
  JWT_ISSUER: Type.String({ default: '', description: 'Issuer of the tokens that are accepted beside API keys; empty: none are.' }),
  JWT_AUDIENCE: Type.String({ default: '', description: 'The audience that a token must be for.' }),
  JWT_JWKS_URL: Type.String({
    default: '',
    description: 'Where the issuer publishes its keys; empty: at /.well-known/jwks.json below JWT_ISSUER.',
  }),
  JWT_TENANT_CLAIM: Type.String({ default: 'tenant', minLength: 1, description: 'The claim of a token that names its tenant.' }),
  ALLOW_ANONYMOUS: Type.Boolean({
    default: false,
    description: 'Whether the service may listen beyond this machine without API keys and tokens, for everybody.',
  }),
  PUBLIC_URL: Type.String({
    default: '',
    description: 'Address by which clients reach the service through a gateway, `https://example.org/ml/rnn`; its path is BASE_PATH.',
  }),
  BASE_PATH: Type.String({
    default: '',
    description: 'Path of the service behind a gateway, `/ml/rnn`, which may strip it or not; empty: that of PUBLIC_URL.',
  }),
  ALLOWED_HOSTS: Type.String({
    default: '',
    description:
      'Host names by which requests may address the service, `rnn.example.org,carryover:8080`, besides IP addresses, localhost and ' +
      'the host of PUBLIC_URL; `*` for any; empty: no others if HOST is of this machine only, else any.',
  }),
  CORS_ORIGINS: Type.String({
    default: '',
    description: 'Web pages of other origins that may use the service, `https://app.example.org`, or `*` for all; empty: none.',
  }),
  TLS_CERT_FILE: Type.String({
    default: '',
    description: 'PEM file of a certificate, with the chain behind it: PORT then speaks HTTPS only. Read again on SIGHUP; empty: HTTP.',
  }),
  TLS_KEY_FILE: Type.String({ default: '', description: 'PEM file of its private key, without a passphrase.' }),
  TLS_MIN_VERSION: Type.Enum(['1.2', '1.3'], { default: '1.2', description: 'Oldest version of TLS that is spoken.' }),
  AUDIT_LOG: Type.String({
    default: '',
    description: 'File for the audit log, a line for each change of a session or a model; `-` for stdout; empty: none.',
  }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'Least severe level that is logged.',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.String({
    default: '',
    pattern: '^(https?://.+)?$',
    description: 'OpenTelemetry collector that gets traces, by OTLP over HTTP, as `http://collector:4318`; empty: none are made.',
  }),
  OTEL_TRACES_SAMPLER: Type.Enum(
    ['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio', 'always_on', 'always_off', 'traceidratio'],
    {
      default: 'parentbased_always_on',
      description: 'Which requests are traced; with `parentbased_` the caller decides, if it sends `traceparent`.',
    },
  ),
  OTEL_TRACES_SAMPLER_ARG: Type.Number({ default: 1, minimum: 0, maximum: 1, description: 'The part of the requests that `traceidratio` traces.' }),
  OTEL_BSP_SCHEDULE_DELAY: integer(1_000, 1, 600_000, 'How long spans are collected until they are sent, in ms.'),
  OTEL_BSP_MAX_QUEUE_SIZE: integer(8_192, 1, 1_048_576, 'Most spans that wait to be sent, about 1 kB each; others are dropped.'),
  OTEL_SDK_DISABLED: Type.Boolean({ default: false, description: '`true`: no traces are made.' }),
  WORKERS: integer(
    Math.max(1, coresAvailable() - 1),
    1,
    256,
    'Worker threads. Default: cores that the process may use − 1, at least 1.',
  ),

  KERNEL: Type.Enum(['auto', 'simd128'], {
    default: 'auto',
    description: '`auto` uses 256-bit vectors where they are known to work; `simd128` never does.',
  }),

  BODY_BYTES_MAX: integer(32 * MiB, 1, 512 * MiB, 'Largest request body.'),
  BODIES_BYTES_MAX: integer(256 * MiB, 1, 16_384 * MiB, 'Bytes of all request bodies in flight.'),
  N_MAX: integer(4_096, 1, 1_048_576, 'Largest mini-batch N.'),
  D_MAX: integer(4_096, 1, 65_536, 'Largest input size D.'),
  H_MAX: integer(4_096, 1, 65_536, 'Largest hidden size H.'),
  V_MAX: integer(65_536, 1, 16_777_216, 'Most rows V of an embedding.'),
  T_MAX: integer(65_536, 1, 16_777_216, 'Most time steps T of one request.'),
  WORK_FLOPS_MAX: integer(
    1e11,
    1,
    1e15,
    'Most work of one request: 2·T·N·(D+H)·H operations of a tanh layer, twice as many if D+H ≤ 96.',
  ),
  ANSWER_NUMBERS_MAX: integer(
    4_194_304,
    1,
    67_108_864,
    'Most numbers in one response; in a stream, in one step.',
  ),

  MEMORY_BYTES_MAX: integer(
    1_024 * MiB,
    MiB,
    4_095 * MiB,
    'Tensor memory: weights, jobs, bodies in flight.',
  ),
  MODELS_MAX: integer(1_000, 1, 1_000_000, 'Most registered models, and most names of models.'),
  MODELS_BYTES_MAX: integer(512 * MiB, 0, 4_095 * MiB, 'Packed weights of registered models.'),
  MODELS_DIR: Type.String({
    default: '',
    description: 'Folder whose model files (safetensors, ONNX, Keras, torch) are registered at the start; empty: none.',
  }),
  WEIGHTS_CACHE_BYTES_MAX: integer(128 * MiB, 0, 4_095 * MiB, 'Packed inline weights cached as long as no other use needs the memory.'),
  STORE_URL: Type.String({
    default: 'sqlite:data/carryover.sqlite',
    pattern: '^(memory:|sqlite:.+|rediss?://.+)$',
    description: 'Where sessions and models are kept: `sqlite:FILE`, `redis://…`, or `memory:`.',
  }),
  REDIS_PREFIX: Type.String({
    default: 'carryover',
    pattern: '^[A-Za-z0-9_.:-]{1,64}$',
    description: 'First part of all keys in Redis, letters, digits and `_.:-`: another prefix is another store.',
  }),
  REDIS_WAIT_REPLICAS: integer(0, 0, 16, 'Replicas of Redis that must have a change before it is answered; 0: none.'),
  REDIS_WAIT_MS: integer(1_000, 1, 60_000, 'How long REDIS_WAIT_REPLICAS are waited for.'),
  STORE_TIMEOUT_MS: integer(5_000, 1, 600_000, 'Timeout of a call to the store.'),
  STORE_QUEUE_MAX: integer(4_096, 1, 1_048_576, 'Most calls that may wait for the store.'),
  STORE_BYTES_MAX: integer(
    16_384 * MiB,
    16 * MiB,
    8_388_608 * MiB,
    'Size of the file of a `sqlite:` store, without its WAL of some MiB and its reserve of 6 MiB.',
  ),
  MEMORY_STORE_BYTES_MAX: integer(1_024 * MiB, 1, 65_536 * MiB, 'Bytes of the sessions in a `memory:` store.'),
  TENANT_REQUESTS_PER_S: integer(0, 0, 1e9, 'Requests and WebSocket messages of a tenant a second; 0: no limit.'),
  TENANT_FLOPS_PER_S: integer(0, 0, 1e15, 'Operations a second of the computations of a tenant; 0: no limit.'),
  TENANT_SESSIONS_MAX: integer(0, 0, 1e9, 'Most open sessions of a tenant; 0: no limit.'),
  TENANT_STATE_BYTES_MAX: integer(0, 0, 1e15, 'Bytes of the states of a tenant\'s sessions; 0: no limit.'),
  TENANT_MODELS_MAX: integer(0, 0, 1e6, 'Most models that a tenant has registered; 0: no limit.'),
  TENANT_STREAMS_MAX: integer(0, 0, 65_536, 'Most streams and WebSockets of a tenant at a time; 0: no limit.'),
  TENANT_BODY_BYTES_MAX: integer(0, 0, 16_384 * MiB, 'Bytes of a tenant\'s request bodies in flight; 0: no limit.'),
  SESSIONS_MAX: integer(1_000_000, 0, 1_000_000_000, 'Most open sessions.'),
  SESSION_STATE_NUMBERS_MAX: integer(65_536, 1, 16_777_216, "Most numbers in a session's states: those of all rows and layers, h and c."),
  SESSION_QUEUE_MAX: integer(64, 0, 65_536, 'Most calls that may wait for one session.'),
  SESSION_TTL_S: integer(86_400, 1, 31_536_000, 'Idle lifetime of a session that was created without `ttl_s`.'),
  SESSION_TTL_S_MAX: integer(2_592_000, 1, 31_536_000, 'Longest idle lifetime; a longer `ttl_s` is reduced to it.'),
  TOMBSTONE_S: integer(3_600, 0, 31_536_000, 'How long an ended session is answered with 410.'),
  HOT_SESSIONS_BYTES_MAX: integer(256 * MiB, 0, 65_536 * MiB, 'Bytes of the cache of sessions.'),

  QUEUE_JOBS_MAX: integer(256, 0, 65_536, 'Most requests that may wait for a worker.'),
  JOB_DEADLINE_MS: integer(10_000, 1, 3_600_000, 'From the head of a request to its response, receiving included; of a stream, between two writes.'),

  WORKER_HANG_MS: integer(
    2_000,
    50,
    3_600_000,
    'A worker without an answer for this long, and for ten times the estimate, is replaced.',
  ),

  STREAMS_MAX: integer(64, 0, 65_536, 'Most streams in progress.'),
  STREAM_STALL_MS: integer(30_000, 1, 3_600_000, 'A connection whose reader is this far behind the least rate is terminated.'),
  READ_BYTES_PER_S_MIN: integer(65_536, 1, 1_024 * MiB, 'Least rate at which a response must be read.'),
  COMPRESS_BYTES_MIN: integer(
    16 * 1024,
    0,
    512 * MiB,
    'Responses from this size on are compressed if the client asks for it.',
  ),
  CONNECTIONS_MAX: integer(1_024, 1, 65_536, 'Most connections open at a time.'),
  REQUEST_TIMEOUT_MS: integer(10_000, 100, 3_600_000, 'Time limit for receiving a whole request; at most JOB_DEADLINE_MS.'),
  KEEP_ALIVE_TIMEOUT_MS: integer(75_000, 100, 3_600_000, "How long an idle connection stays open; set it above the gateway's."),
  DRAIN_DELAY_MS: integer(0, 0, 600_000, 'From SIGTERM, when the service becomes not ready, until new connections are refused; 0: until all requests are, at once.'),
  SHUTDOWN_TIMEOUT_MS: integer(30_000, 1, 3_600_000, 'From SIGTERM until a forced exit.'),
});

export type Config = Static<typeof ConfigSchema>;

export class ConfigError extends Error {}

/** @throws ConfigError listing every problem, one a line */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const { config, problems } = validate(environment);
  if (config) return expectNone(config, conflictsIn(config));
  // Without the settings that are invalid by themselves, conflicts among the others are reported as well.
  const wrong = new Set(problems.map(settingOf));
  const rest = Object.fromEntries(Object.entries(environment).filter(([name]) => !wrong.has(name)));
  const { config: others } = validate(rest);
  const conflicts = others
    ? conflictsIn(others).filter(({ settings }) => !settings.some((name) => wrong.has(name)))
    : [];
  const lines = problems.map((problem) => describe(problem, environment));
  throw configError([...lines, ...conflicts.map(({ message }) => message)]);
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message?: string;
  readonly params: { readonly allowedValues?: readonly string[] };
}

function validate(data: NodeJS.ProcessEnv): { config?: Config; problems: readonly SchemaError[] } {
  try {
    return { config: envSchema<Config>({ schema: ConfigSchema, data, env: false }), problems: [] };
  } catch (error) {
    const { errors } = error as { errors?: SchemaError[] };
    if (!errors) throw error;
    return { problems: errors };
  }
}

/** Settings that are valid each by itself, but not together. */
interface Conflict {
  readonly settings: readonly (keyof Config)[];
  readonly message: string;
}

/** The part of MEMORY_BYTES_MAX that models and bodies must leave free for jobs and responses. */
const WORKING_SHARE = 1 / 8;

function conflictsIn(config: Config): Conflict[] {
  const conflicts: Conflict[] = [];
  const atMost = (lower: keyof Config, upper: keyof Config, why: string) => {
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

/** Whether callers need an API key or a token. */
export function hasAccessControl({ API_KEYS_FILE, JWT_ISSUER }: Config): boolean {
  return API_KEYS_FILE !== '' || JWT_ISSUER !== '';
}

export function jwksUrlOf({ JWT_ISSUER, JWT_JWKS_URL }: Config): string {
  return JWT_JWKS_URL || `${JWT_ISSUER.replace(/\/$/, '')}/.well-known/jwks.json`;
}

function expectNone(config: Config, conflicts: readonly Conflict[]): Config {
  if (conflicts.length === 0) return config;
  throw configError(conflicts.map(({ message }) => message));
}

function configError(lines: readonly string[]): ConfigError {
  return new ConfigError(`Invalid configuration:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

function settingOf({ instancePath }: SchemaError): string {
  return instancePath.slice(1);
}

function describe(problem: SchemaError, environment: NodeJS.ProcessEnv): string {
  const { keyword, message, params } = problem;
  const name = settingOf(problem);
  const allowed = params.allowedValues ? ` (${params.allowedValues.join(', ')})` : '';
  const got = JSON.stringify(withoutSecrets(environment[name]));
  const { description } = ConfigSchema.properties[name as keyof Config] as { description?: string };
  // The description says more than the pattern.
  const expected = keyword === 'pattern' ? `is not as expected (${description})` : `${message}${allowed}`;
  return `${name} ${expected}, got ${got}`;
}

/** Without what stands before the `@` of a URL: it may be a password, and unencoded it may have any character. */
function withoutSecrets(text: string | undefined): string | undefined {
  return text?.replace(/\/\/.*@/, '//…@');
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
