// node docker/memory.ts: the memory that a container needs with the settings of the environment, in MiB, as for
// resources.limits.memory. test/docker/kubernetes.test.ts compares it with docker/k8s.
import { type Config, processesOf, readConfig, workersOf } from '../src/config.ts';

const MiB = 1024 * 1024;

/** Node.js, the code and the compiled kernels: 165 MiB without requests, 205 at the start, with one worker. */
const PROCESS_BYTES = 224 * MiB;
/** Of each worker beyond the first; 16 to 20 were measured. */
const WORKER_BYTES = 24 * MiB;
/** Values, sockets and responses in flight; the heaviest calls of all routes pass with a heap of 512 MiB in all. */
const HEAP_BYTES = 320 * MiB;
/** The thread that reads ONNX and Keras files (HEAP_MIB_MAX in src/models/import-thread/import-thread.ts, and its young space). */
const IMPORT_BYTES = 272 * MiB;
/** The thread that exports traces: 35 MiB were measured without spans; and each that waits, twice while it is sent. */
const EXPORT_BYTES = 64 * MiB;
const SPAN_BYTES = 1024;
/** The process above several that serve: 130 MiB were measured, with metrics. */
const PRIMARY_BYTES = 160 * MiB;
/** Limits are set in steps of this size. */
const STEP_BYTES = 64 * MiB;

/** What all parts may hold together, in bytes. Most of it is not used before it is needed. */
export function memoryLimitBytes(config: Config): number {
  const store = config.STORE_URL.startsWith('memory:') ? config.MEMORY_STORE_BYTES_MAX : 0;
  const isTraced = config.OTEL_EXPORTER_OTLP_ENDPOINT !== '' && !config.OTEL_SDK_DISABLED;
  const bytes =
    config.MEMORY_BYTES_MAX +
    config.HOT_SESSIONS_BYTES_MAX +
    store +
    PROCESS_BYTES +
    (workersOf(config) - 1) * WORKER_BYTES +
    HEAP_BYTES +
    IMPORT_BYTES +
    (isTraced ? EXPORT_BYTES + config.OTEL_BSP_MAX_QUEUE_SIZE * SPAN_BYTES : 0);
  const processes = processesOf(config);
  const all = processes === 1 ? bytes : processes * bytes + PRIMARY_BYTES;
  return Math.ceil(all / STEP_BYTES) * STEP_BYTES;
}

if (import.meta.main) console.log(`${memoryLimitBytes(readConfig()) / MiB}Mi`);
