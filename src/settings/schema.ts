// All settings: their names, types, defaults and bounds, and what each is for. docker/settings.ts makes the table of the
// documentation from it.
import { type Static, Type } from 'typebox';

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
  OTEL_BSP_MAX_QUEUE_SIZE: integer(8_192, 1, 1_048_576, 'Most spans that wait to be sent, 100 to 400 bytes each; others are dropped.'),
  OTEL_SDK_DISABLED: Type.Boolean({ default: false, description: '`true`: no traces are made.' }),
  PROCESSES: Type.String({
    default: '1',
    pattern: '^(auto|[1-9]\\d?)$',
    description:
      'Processes that serve PORT together, 1 to 99; more than one needs a `redis:` store. `auto`: as many as have a core each, and one ' +
      'for each of their workers.',
  }),
  WORKERS: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 256,
      description: 'Worker threads of each process. Default: the cores that may be used ÷ PROCESSES − 1, at least 1.',
    }),
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
  TENANT_MODELS_MAX: integer(0, 0, 1e6, 'Most models that a tenant has registered, and most names it has given; 0: no limit.'),
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
  SHARED_ROWS_MAX: integer(
    64,
    1,
    1_024,
    'Most rows of a mini-batch in which steps with one model are computed together: those of several requests that wait, and those of one batch or WebSocket; 1: each by itself.',
  ),
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
