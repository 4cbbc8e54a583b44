// Cores and memory that this process may use, against what the settings ask for.
import { availableParallelism, totalmem } from 'node:os';
import { type Config, processesOf, workersOf } from '../../config.ts';
import { coresAvailable, cpuQuota } from '../../cores.ts';
import { type Finding, ok, warn } from './finding.ts';

const MiB = 2 ** 20;
/** Node.js itself, with its code and the heap of an idle service. */
const NODE_BYTES = 150 * MiB;

export function checkCores(config: Pick<Config, 'PROCESSES' | 'WORKERS'>): Finding {
  const name = 'cores';
  const cores = coresAvailable();
  const quota = cpuQuota();
  const limit = Number.isFinite(quota) ? `, of ${availableParallelism()} by a limit of ${Number(quota.toFixed(2))}` : '';
  const [processes, workers] = [processesOf(config), workersOf(config)];
  const found = `${cores}${limit}; ${processes === 1 ? '' : `PROCESSES ${processes}, each with `}WORKERS ${workers}`;
  if (processes * workers > cores)
    return warn(name, found, 'More workers than cores wait for each other: leave WORKERS out, or give more cores.');
  if (quota < 1) return warn(name, found, 'With less than one core every request waits for the quota: give at least one.');
  return ok(name, found);
}

type MemorySettings = Pick<
  Config,
  'MEMORY_BYTES_MAX' | 'HOT_SESSIONS_BYTES_MAX' | 'MEMORY_STORE_BYTES_MAX' | 'STORE_URL' | 'PROCESSES' | 'WORKERS'
>;

/** @param limit of this process, in bytes */
export function checkMemory(config: MemorySettings, limit = memoryLimit()): Finding {
  const name = 'memory';
  const { MEMORY_BYTES_MAX, HOT_SESSIONS_BYTES_MAX, MEMORY_STORE_BYTES_MAX, STORE_URL } = config;
  const ofStore = STORE_URL === 'memory:' ? MEMORY_STORE_BYTES_MAX : 0;
  const wanted = processesOf(config) * (MEMORY_BYTES_MAX + HOT_SESSIONS_BYTES_MAX + ofStore + NODE_BYTES);
  const found = `${inMiB(limit)} may be used; the settings allow ${inMiB(wanted)}`;
  if (wanted <= limit) return ok(name, found);
  const settings = `MEMORY_BYTES_MAX, HOT_SESSIONS_BYTES_MAX${ofStore > 0 ? ' or MEMORY_STORE_BYTES_MAX' : ''}`;
  return warn(name, found, `Under load the process may be killed: lower ${settings}, or give it more memory.`);
}

/** That of the control group, or of the machine. */
function memoryLimit(): number {
  // Without a limit the control group says 0, or more than there is.
  const group = process.constrainedMemory();
  return group > 0 ? Math.min(group, totalmem()) : totalmem();
}

const inMiB = (bytes: number) => `${Math.round(bytes / MiB).toLocaleString('en')} MiB`;
