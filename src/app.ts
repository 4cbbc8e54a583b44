// The composition root: creates the parts, the lowest first, passes each to those above it, and closes them.
//
//   http → engine → scheduler → pool ═thread═ kernels
//             ├── models ───┐
//             └── sessions ─┴→ store
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Access } from './access/access.ts';
import type { ApiKeysListener } from './access/api-keys.ts';
import type { AppOverrides } from './app-overrides.ts';
import { Backups } from './backup/backups.ts';
import { type Config, ConfigError, jwksUrlOf, tenantLimitsOf, workersOf } from './config.ts';
import { BuiltInModels } from './engine/built-in-models.ts';
import { calibrate } from './engine/calibrate.ts';
import { TensorCopier } from './engine/tensor-copier.ts';
import { Engine } from './engine/engine.ts';
import { PreloadedModels } from './engine/preloaded-models.ts';
import { SessionCompute } from './engine/session-compute.ts';
import type { Limits } from './engine/shapes.ts';
import { JsonCodec } from './engine/json-codec.ts';
import { WeightsPacker } from './engine/weights-packer.ts';
import { gatewayParts } from './http/gateway.ts';
import { Limits as TenantLimiter } from './limits/limits.ts';
import { createHttp } from './http/http.ts';
import type { HttpServer } from './http/http-server.ts';
import { reloadCertificate } from './http/node-server.ts';
import { type ModelFile, modelFilesOf } from './models/models-dir.ts';
import type { ServiceMetrics } from './metrics/service-metrics.ts';
import { ModelLibrary } from './models/library.ts';
import { TenantModels } from './models/tenant-models.ts';
import { ModelRegistry } from './models/registry.ts';
import { WeightsCache } from './models/weights-cache.ts';
import { startPeriodic } from './periodic.ts';
import { Pool } from './pool/pool.ts';
import { Scheduler } from './scheduler/scheduler.ts';
import { Sessions } from './sessions/sessions.ts';
import { TenantSessions } from './sessions/tenant-sessions.ts';
import { startSweeper } from './sessions/sweeper.ts';
import { observedStore } from './store/observed.ts';
import { trustedProxies } from './settings/proxies.ts';
import { openStore } from './store/open.ts';
import type { SessionStore } from './store/store.ts';
import { openTracing } from './tracing/open.ts';
import { finiteCheck } from './wasm/finite.ts';
import { compileKernels, instantiateKernels } from './wasm/load.ts';
import { LinearMemory } from './wasm/memory.ts';
import { NUMERICS } from './wasm/numerics.ts';
import { selfTestOnce } from './wasm/self-test.ts';

export type { AppOverrides };

export interface App {
  readonly version: string;
  /** Which vectors the kernels run with: simd128 or simd256. */
  readonly kernel: string;
  readonly http: HttpServer;
  readonly pool: Pool;
  readonly memory: LinearMemory;
  readonly weightsCache: WeightsCache;
  readonly registry: ModelRegistry;
  readonly sessions: Sessions;
  readonly store: SessionStore;
  /** Undefined without METRICS_PORT. It does not listen yet. */
  readonly metrics: ServiceMetrics | undefined;
  /** Why this process should get no requests, apart from a shutdown; empty if it should. */
  problems(): readonly string[];
  /** Reads the certificate again, on SIGHUP. */
  reload(): void;
  /** From now on /health/ready answers 503; requests are still served. See close(). */
  drain(delayMs: number): Promise<void>;
  /**
   * Refuses new requests, finishes those that run, and closes the parts from the highest to the lowest. On SIGTERM,
   * in this order:
   *
   * 1. close-with-grace (server.ts) catches the signal and starts the timer of SHUTDOWN_TIMEOUT_MS.
   * 2. drain(): /health/ready answers 503; requests are still served, for DRAIN_DELAY_MS. If that is not 0, then new
   *    connections are refused, and each open one gets the response to its next request (Connections.handOver).
   * 3. close(): from here on new requests are refused with shutting_down.
   * 4. http.close() runs the preClose hooks one after the other: timers for the end of streams are set
   *    (http/responses/stream-responses.ts); idle connections are closed, and the others get their last response
   *    (Connections.shutDown); WebSockets answer the messages that wait, and are closed (MessageSockets.shutDown). Then
   *    it stops listening and waits until all connections are closed.
   * 5. The periodic work ends: the sweeper, the collector of models, and the refresher of a shared store.
   * 6. The store is closed, and with it a backup that is being made has ended; none is begun after step 3.
   * 7. The worker threads are terminated, while the last spans are sent, for two seconds at most; and last the port of the metrics is closed: a scraper sees the shutdown.
   *
   * If SHUTDOWN_TIMEOUT_MS passes before the last step, close-with-grace exits the process.
   */
  close(): Promise<void>;
}

/** How often models without a session or name are collected; a process that was killed leaves such models. */
const MODELS_COLLECT_MS = 60_000;
/** How late a change of names by another process is seen. */
const MODELS_REFRESH_MS = 1_000;

/** @throws Error if the kernels fail their self-test or a worker cannot start */
export async function createApp(config: Config, overrides: AppOverrides = {}): Promise<App> {
  const modelFiles = readModelsFolder(config);
  const metrics = await createMetrics(config);
  const access = await openAccess(config, {
    onRead: (keys) => http.log.info({ keys }, 'API keys read again'),
    onFailed: (err) => http.log.error({ err }, 'the changed file of the API keys is not used; the keys that were read before it are good'),
  });
  const version = readVersion();
  const tracing = await openTracing(config, version, () => http.log, metrics?.onSpans);
  const gateway = gatewayParts(config);
  const memory = new LinearMemory(config.MEMORY_BYTES_MAX);
  const compiled = compileKernels(config.KERNEL);
  const kernels = instantiateKernels(compiled, memory.memory);
  selfTestOnce(compiled, kernels, memory);

  const pool = new Pool({
    workers: workersOf(config),
    kernels: compiled,
    memory: memory.memory,
    hangMsMin: config.WORKER_HANG_MS,
    entry: overrides.workerEntry,
    onIdle: () => scheduler.dispatch(),
    onLost: (reason) => http.log.error({ err: reason }, 'a worker was lost and is replaced'),
  });
  const scheduler = new Scheduler(pool, {
    queueJobsMax: config.QUEUE_JOBS_MAX,
    sharedRowsMax: config.SHARED_ROWS_MAX,
    runInline: kernels.run,
  });
  const weightsCache = new WeightsCache(memory, config.WEIGHTS_CACHE_BYTES_MAX);
  const limits = limitsOf(config);
  const registry = new ModelRegistry(memory, {
    bytesMax: config.MODELS_BYTES_MAX,
    countMax: config.MODELS_MAX,
    now: () => new Date(),
  });
  const opened =
    overrides.store ??
    (await openStore(config.STORE_URL, {
      timeoutMs: config.STORE_TIMEOUT_MS,
      queueMax: config.STORE_QUEUE_MAX,
      memoryBytesMax: config.MEMORY_STORE_BYTES_MAX,
      bytesMax: config.STORE_BYTES_MAX,
      redis: { prefix: config.REDIS_PREFIX, waitReplicas: config.REDIS_WAIT_REPLICAS, waitMs: config.REDIS_WAIT_MS },
      onLost: (reason) => http.log.error({ err: reason }, 'the store is started again'),
      onCommitted: tracing?.onCommitted,
    }));
  const store = metrics ? observedStore(opened, metrics.onStoreCall) : opened;
  const library = new ModelLibrary(registry, store.models, {
    load: (ref) => builtInModels.load(ref),
    loadAll: () => builtInModels.loadAll(),
  });
  const models = new TenantModels(library, {
    hasSessions: async (tenant, id) => {
      const page = await sessions.list(undefined, 1, id, tenant);
      return page.sessions.length > 0 || page.damaged.length > 0 || page.next !== undefined;
    },
  });
  const logFailure = (err: unknown) => http.log.error({ err }, 'the store failed');
  const jsonCodec = new JsonCodec({ memory, scheduler, kernels, lengthsMax: limits.N, ...overrides.reading });
  const isFinite = finiteCheck(memory, kernels);
  const tensorCopier = new TensorCopier({ memory, scheduler, isFinite });
  const weightsPacker = new WeightsPacker({ memory, scheduler, tensorCopier, weightsCache });
  const builtInModels = new BuiltInModels({ library, limits, weightsPacker, deadlineMs: config.JOB_DEADLINE_MS });
  const engine = new Engine({
    memory,
    weightsCache,
    library,
    models,
    scheduler,
    limits,
    jsonCodec,
    tensorCopier,
    weightsPacker,
    isFinite,
  });
  const defaults = tenantLimitsOf(config);
  // Without keys and without limits nothing is counted.
  const isLimited = access !== undefined || Object.values(defaults).some((limit) => limit !== undefined);
  const tenantLimits = isLimited
    ? new TenantLimiter({
        defaults,
        limitsOf: (tenant) => access?.limitsOf(tenant),
        takeLot: opened.takeTokens?.bind(opened),
        onLimited: metrics?.onLimited,
      })
    : undefined;
  const sessions = new Sessions(store, {
    tenantSessions:
      tenantLimits &&
      new TenantSessions(store, { limitsOf: (tenant) => tenantLimits.limitsOf(tenant), onLimited: metrics?.onLimited }),
    countMax: config.SESSIONS_MAX,
    cacheBytesMax: config.HOT_SESSIONS_BYTES_MAX,
    waitingMax: config.SESSION_QUEUE_MAX,
    tombstoneMs: config.TOMBSTONE_S * 1_000,
    numerics: overrides.numerics ?? NUMERICS,
    now: overrides.now ?? (() => store.now()),
    onEnded: (modelId) => library.collect(modelId).catch(logFailure),
    observer: metrics?.sessions,
  });
  const stateNumbersMax = config.SESSION_STATE_NUMBERS_MAX;
  const sessionCompute = new SessionCompute({ engine, sessions, library, models, limits, weightsPacker, stateNumbersMax });

  const preloadedModels = new PreloadedModels({
    library,
    limits,
    onLoaded: (name, { id, D, H, O, activation, layers }, { tensors, notes }) =>
      http.log.info({ name, id, D, H, O, activation, layers, tensors, notes }, 'model loaded'),
    onSkipped: ({ path }, error) =>
      http.log.error({ path, reason: (error as Error).message }, 'model file skipped'),
  });

  const isPrepared = overrides.isPrepared ?? true;
  let state: 'serving' | 'draining' | 'closing' = 'serving';
  const problems = () => [
    ...store.problems(),
    ...preloadedModels.problems(),
    // While one worker is replaced, the others compute: the service stays ready.
    ...(pool.isUp ? [] : [`none of ${workersOf(config)} workers is up`]),
  ];
  const { app: http, load, handOver } = await createHttp({
    observer: metrics?.http,
    access,
    tenantLimits,
    tracer: tracing,
    engine,
    library,
    models,
    weightsPacker,
    sessions,
    sessionCompute,
    ttlMs: config.SESSION_TTL_S * 1_000,
    ttlMsMax: config.SESSION_TTL_S_MAX * 1_000,
    limits,
    readiness: {
      kernel: compiled.path,
      numerics: NUMERICS,
      reasons: () => [
        ...(state === 'serving' ? [] : ['shutting down']),
        ...new Set([...problems(), ...(overrides.problemsOfOthers?.() ?? [])]),
      ],
    },
    isClosing: () => state === 'closing',
    ...gateway,
    trustProxy: trustedProxies(config.TRUST_PROXY),
    version,
    logger: overrides.logger,
    auditLogger: overrides.auditLogger,
    isPrepared,
    plugin: overrides.plugin,
    bodyBytesMax: config.BODY_BYTES_MAX,
    sessionQueueMax: config.SESSION_QUEUE_MAX,
    bodiesBytesMax: config.BODIES_BYTES_MAX,
    compressBytesMin: config.COMPRESS_BYTES_MIN,
    streamsMax: config.STREAMS_MAX,
    streamStallMs: config.STREAM_STALL_MS,
    readBytesPerSecondMin: config.READ_BYTES_PER_S_MIN,
    // Half of the time left for the shutdown: the rest is for clients that still read the last responses.
    streamGraceMs: Math.max(0, config.SHUTDOWN_TIMEOUT_MS - config.DRAIN_DELAY_MS) / 2,
    connectionsMax: config.CONNECTIONS_MAX,
    requestTimeoutMs: Math.min(config.REQUEST_TIMEOUT_MS, config.JOB_DEADLINE_MS),
    deadlineMs: config.JOB_DEADLINE_MS,
    keepAliveTimeoutMs: config.KEEP_ALIVE_TIMEOUT_MS,
  });
  const backups = new Backups({
    folder: config.BACKUP_DIR,
    store: opened,
    onMade: (report) => http.log.info(report, 'backup made'),
    onFailed: (err) => http.log.error({ err }, 'no backup was made'),
  });
  metrics?.serveBackups(async (headers) => {
    await access?.expectScope(headers, 'admin');
    return backups.answer();
  });
  metrics?.watch({ scheduler, pool, memory, registry, weightsCache, store: opened, http: load });
  const skipModel = (id: string, error: unknown) => {
    http.log.error({ id, reason: (error as Error).message }, 'stored model skipped');
  };
  await library.refresh(skipModel);
  await library.collectAll();
  await preloadedModels.load(modelFiles);
  // A dispatch is measured with workers that are there; where it is not, they start with the first job.
  const startsWorkers = overrides.dispatchMs === undefined;
  await Promise.all([startsWorkers ? pool.start() : undefined, isPrepared ? http.ready() : undefined]);
  const { dispatchMs, inlineFlopsMax, speeds } = await calibrate(memory, pool, kernels.run, overrides);
  const { flopsPerMs } = speeds;
  scheduler.speeds = speeds;
  scheduler.inlineFlopsMax = overrides.inlineFlopsMax ?? inlineFlopsMax;
  jsonCodec.calibrate(flopsPerMs);
  http.log.info({ kernel: compiled.path, dispatchMs, flopsPerMs, inlineFlopsMax }, 'kernels');
  if (access) http.log.info({ access: access.description }, 'callers need a key or a token');
  http.log.info({ store: store.description, sessions: await store.count() }, 'sessions');
  const sweeper = startSweeper(sessions, logFailure);
  const collector = startPeriodic(MODELS_COLLECT_MS, () => library.collectAll(), logFailure);
  // Other processes of a shared store register models and change names.
  const refresher = store.isShared
    ? startPeriodic(
        MODELS_REFRESH_MS,
        async () => preloadedModels.restore(await library.refresh(skipModel)),
        logFailure,
      )
    : undefined;

  return {
    version,
    kernel: compiled.path,
    http,
    pool,
    memory,
    weightsCache,
    registry,
    sessions,
    store,
    metrics,
    problems,
    reload: () => reloadCertificate(http.server, gateway.certificate, http.log),
    drain: async (delayMs) => {
      state = 'draining';
      if (delayMs === 0) return;
      await sleep(delayMs);
      await handOver();
    },
    close: async () => {
      state = 'closing';
      backups.stop();
      await http.close();
      await Promise.all([sweeper.stop(), collector.stop(), refresher?.stop()]);
      await store.close();
      await backups.ended();
      await access?.close();
      await Promise.all([pool.close(), tracing?.close()]);
      await metrics?.close();
    },
  };
}

/** Loaded only where metrics are wanted: the library that prints them takes a part of each start. */
async function createMetrics({ METRICS_PORT }: Config): Promise<ServiceMetrics | undefined> {
  if (METRICS_PORT === 0) return undefined;
  const { ServiceMetrics } = await import('./metrics/service-metrics.ts');
  return new ServiceMetrics();
}

/** @throws ConfigError if MODELS_DIR is no folder that can be read */
function readModelsFolder({ MODELS_DIR }: Config): ModelFile[] {
  try {
    return modelFilesOf(MODELS_DIR);
  } catch (error) {
    throw new ConfigError((error as Error).message, { cause: error });
  }
}

/** @throws ConfigError if the file of the keys cannot be used */
async function openAccess(config: Config, listener: ApiKeysListener): Promise<Access | undefined> {
  const { API_KEYS_FILE, JWT_ISSUER, JWT_AUDIENCE, JWT_TENANT_CLAIM } = config;
  const tokens = JWT_ISSUER === '' ? undefined : {
    issuer: JWT_ISSUER,
    audience: JWT_AUDIENCE,
    jwksUrl: new URL(jwksUrlOf(config)),
    tenantClaim: JWT_TENANT_CLAIM,
  };
  try {
    return await Access.open({ keysFile: API_KEYS_FILE || undefined, tokens }, listener);
  } catch (error) {
    throw new ConfigError(`API_KEYS_FILE: ${(error as Error).message}`, { cause: error });
  }
}

function limitsOf(config: Config): Limits {
  return {
    T: config.T_MAX,
    N: config.N_MAX,
    D: config.D_MAX,
    H: config.H_MAX,
    V: config.V_MAX,
    workFlops: config.WORK_FLOPS_MAX,
    answerNumbers: config.ANSWER_NUMBERS_MAX,
  };
}

function readVersion(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
}
