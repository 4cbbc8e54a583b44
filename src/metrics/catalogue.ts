// Every metric of the service: its name, type, labels and help, in the order in which /metrics and docker/README.md have
// them. Names end with their unit, seconds or bytes, and counters with `_total`.
//
// The values of all labels are from fixed lists: patterns of routes, methods, codes. Whatever a client can invent, such as
// the name of a model, an address or the id of a session, is never one, for each value is kept until the process ends.

export interface MetricDefinition {
  readonly name: `carryover_${string}`;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  /** How the values of several processes become one; their sum if absent. */
  readonly aggregator?: 'max';
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[];
}

const ms = (...bounds: readonly number[]) => bounds.map((bound) => bound / 1_000);

/** A small step is answered in 0.1 ms, a job may take 10 s. */
const REQUEST_SECONDS = ms(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000);
/** Reading and printing a small step take microseconds. */
const PART_SECONDS = ms(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000);
const STORE_SECONDS = ms(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000);
const LIFE_SECONDS = [1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 2_592_000];
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096, 16_384];
const STATE_BYTES = [64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

export const METRICS = {
  processes: {
    name: 'carryover_processes',
    type: 'gauge',
    labels: [],
    help: 'Processes that serve and have answered this scrape; PROCESSES of them should.',
  },
  processRestarts: {
    name: 'carryover_process_restarts_total',
    type: 'counter',
    labels: [],
    help: 'Processes that ended or hung and were replaced.',
  },
  requests: {
    name: 'carryover_requests_total',
    type: 'counter',
    labels: ['route', 'method', 'status'],
    help:
      'Requests that have ended, by the pattern of their route (none: refused before one was found), method and class of ' +
      'status (unanswered: the client left or was disconnected before the end; 1xx: a WebSocket that is closed).',
  },
  requestSeconds: {
    name: 'carryover_request_duration_seconds',
    type: 'histogram',
    labels: ['route'],
    help: 'From the head of a request until its response is closed; without WebSockets.',
    buckets: REQUEST_SECONDS,
  },
  partSeconds: {
    name: 'carryover_request_part_duration_seconds',
    type: 'histogram',
    labels: ['part'],
    help:
      'Parts of the requests and messages that compute: read (bytes to values), queue (waiting for a worker, 0 if inline), ' +
      'compute, commit (the store confirms the change of a session), print (result to bytes).',
    buckets: PART_SECONDS,
  },
  errors: {
    name: 'carryover_errors_total',
    type: 'counter',
    labels: ['code'],
    help: 'Requests and messages that were answered with an error, by its code.',
  },
  rows: {
    name: 'carryover_job_rows',
    type: 'histogram',
    labels: [],
    help: 'Rows N of the mini-batches that are computed, one for each request or message.',
    buckets: ROWS,
  },
  queuedJobs: {
    name: 'carryover_queue_jobs',
    type: 'gauge',
    labels: [],
    help: 'Jobs that wait for a worker and have not begun; QUEUE_JOBS_MAX bounds them.',
  },
  sharedSteps: {
    name: 'carryover_shared_steps_total',
    type: 'counter',
    labels: [],
    help: 'Steps that were computed together with others: of other requests, of one batch or of one WebSocket; SHARED_ROWS_MAX bounds how many at once.',
  },
  sharedBatches: {
    name: 'carryover_shared_batches_total',
    type: 'counter',
    labels: [],
    help: 'Mini-batches in which they were.',
  },
  busyWorkers: {
    name: 'carryover_workers_busy',
    type: 'gauge',
    labels: [],
    help: 'Workers with a job.',
  },
  readyWorkers: {
    name: 'carryover_workers_ready',
    type: 'gauge',
    labels: [],
    help: 'Workers that are up, busy or not.',
  },
  workerRestarts: {
    name: 'carryover_worker_restarts_total',
    type: 'counter',
    labels: [],
    help: 'Workers that died or hung and were replaced.',
  },
  eventLoopDelay: {
    name: 'carryover_event_loop_delay_seconds',
    type: 'gauge',
    aggregator: 'max',
    labels: ['quantile'],
    help: 'How late the event loop was, over the last ten seconds or longer; 1 is the largest delay. Of several processes the latest.',
  },
  connections: {
    name: 'carryover_connections',
    type: 'gauge',
    labels: [],
    help: 'Open connections, WebSockets included; CONNECTIONS_MAX bounds them.',
  },
  streams: {
    name: 'carryover_streams',
    type: 'gauge',
    labels: [],
    help: 'Streams in progress; STREAMS_MAX bounds them.',
  },
  sockets: {
    name: 'carryover_websockets',
    type: 'gauge',
    labels: [],
    help: 'Open WebSockets.',
  },
  messageSeconds: {
    name: 'carryover_websocket_message_duration_seconds',
    type: 'histogram',
    labels: ['outcome'],
    help: 'From when a message of a WebSocket is taken up until its answer is ready; outcome: answered or refused.',
    buckets: REQUEST_SECONDS,
  },
  bodyBytes: {
    name: 'carryover_bodies_in_flight_bytes',
    type: 'gauge',
    labels: [],
    help: 'Bytes of request bodies and messages that are not answered yet; BODIES_BYTES_MAX bounds them.',
  },
  bodyBytesMax: {
    name: 'carryover_bodies_in_flight_limit_bytes',
    type: 'gauge',
    labels: [],
    help: 'BODIES_BYTES_MAX.',
  },
  models: {
    name: 'carryover_models',
    type: 'gauge',
    aggregator: 'max',
    labels: [],
    help: 'Registered models in the memory of this process.',
  },
  modelBytes: {
    name: 'carryover_models_packed_bytes',
    type: 'gauge',
    labels: ['kind'],
    help: 'Packed weights: of registered models, and cached inline weights.',
  },
  imports: {
    name: 'carryover_model_imports_total',
    type: 'counter',
    labels: ['format', 'outcome'],
    help: 'Model files sent to POST /v1/models, by format; outcome: imported, refused (the file) or failed (the service).',
  },
  memory: {
    name: 'carryover_linear_memory_bytes',
    type: 'gauge',
    labels: ['kind'],
    help: 'Tensor memory: used (allocated), grown (held by the process) and limit (MEMORY_BYTES_MAX).',
  },
  sessionsActive: {
    name: 'carryover_sessions_active',
    type: 'gauge',
    aggregator: 'max',
    labels: [],
    help: 'Open sessions in the store, of all processes that share it; read at most every five seconds.',
  },
  sessionsCreated: {
    name: 'carryover_sessions_created_total',
    type: 'counter',
    labels: [],
    help: 'Sessions created by this process, forks included.',
  },
  sessionsEnded: {
    name: 'carryover_sessions_ended_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Sessions that this process has ended: expired or deleted.',
  },
  sessionConflicts: {
    name: 'carryover_session_conflicts_total',
    type: 'counter',
    labels: [],
    help: 'Calls refused with 412, as their If-Match names another version.',
  },
  sessionReplays: {
    name: 'carryover_session_replays_total',
    type: 'counter',
    labels: [],
    help: 'Calls answered as an earlier attempt was, found by their Idempotency-Key.',
  },
  sessionNumericsChanges: {
    name: 'carryover_session_numerics_changes_total',
    type: 'counter',
    labels: [],
    help: 'Sessions that went on from a state which other numerics had computed, as after an upgrade that changes bits.',
  },
  limited: {
    name: 'carryover_limited_total',
    type: 'counter',
    labels: ['limit'],
    help: 'Requests and messages refused with 429, by the limit of their tenant or key.',
  },
  sessionStateBytes: {
    name: 'carryover_session_state_bytes',
    type: 'histogram',
    labels: [],
    help: 'Bytes of the states of a session, when it is created.',
    buckets: STATE_BYTES,
  },
  sessionAge: {
    name: 'carryover_session_age_seconds',
    type: 'histogram',
    labels: ['reason'],
    help: 'From creation to the end of a session.',
    buckets: LIFE_SECONDS,
  },
  sessionIdle: {
    name: 'carryover_session_idle_seconds',
    type: 'histogram',
    labels: ['reason'],
    help: 'From the last change of a session to its end; of an expired one its lifetime ttl_s.',
    buckets: LIFE_SECONDS,
  },
  storeSeconds: {
    name: 'carryover_store_operation_duration_seconds',
    type: 'histogram',
    labels: ['operation'],
    help: 'Calls of the store, also those that fail, until they settle.',
    buckets: STORE_SECONDS,
  },
  storeErrors: {
    name: 'carryover_store_errors_total',
    type: 'counter',
    labels: ['code'],
    help: 'Calls of the store that failed, by the code of the error.',
  },
  spans: {
    name: 'carryover_spans_total',
    type: 'counter',
    labels: ['outcome'],
    help: 'Spans of traces: exported, failed (the collector did not take them) or dropped (too many waited for it).',
  },
  scrapeSeconds: {
    name: 'carryover_scrape_duration_seconds',
    type: 'gauge',
    aggregator: 'max',
    labels: [],
    help: 'How long the scrape before this one took.',
  },
} as const satisfies Record<string, MetricDefinition>;
