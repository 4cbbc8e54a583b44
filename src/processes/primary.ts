// The process that was started, where several serve: it starts them, hands new connections to them in turn, and is what signals
// and scrapers see of the whole.
import cluster from 'node:cluster';
import closeWithGrace from 'close-with-grace';
import { announce } from '../announce.ts';
import { type Config, processesOf } from '../config.ts';
import { listenForMetricsOrExit } from '../exits.ts';
import { onHangUp } from '../hang-up.ts';
import { createLogger, stdoutDestination } from '../logging.ts';
import type { MeasuredProcesses, WholeMetrics } from '../metrics/whole-metrics.ts';
import { Processes, StartError } from './processes.ts';
import { ServedProcess } from './served-process.ts';

/** Beyond SHUTDOWN_TIMEOUT_MS: each process forces its own end then, and is to be the first to do so. */
const FORCED_LATER_MS = 500;

/** Resolves when all processes take connections. */
export async function runPrimary(config: Config): Promise<void> {
  const log = createLogger(config.LOG_LEVEL, await stdoutDestination(true));
  // Numbers that JSON does not have are sent as well.
  cluster.setupPrimary({ serialization: 'advanced' });
  const processes = new Processes({
    count: processesOf(config),
    start: (listener, port) => new ServedProcess(cluster.fork({ PORT: String(port ?? config.PORT) }), listener, port),
    onCounted: (snapshot) => metrics?.addEnded(snapshot),
    onLost: (code) => {
      log.fatal({ code }, 'no process can be started, shutting down');
      void end(code);
    },
    log,
  });
  const metrics = await createMetrics(config, processes);
  const end = async (code: number) => {
    await processes.close();
    await metrics?.close();
    process.exit(code);
  };

  const force = (why: string) => {
    process.stderr.write(`${why}\n`);
    processes.kill();
  };
  const grace = closeWithGrace(
    {
      delay: config.SHUTDOWN_TIMEOUT_MS + FORCED_LATER_MS,
      skip: ['SIGHUP'],
      onTimeout: (ms) => force(`killed by timeout (${ms}ms)`),
      onSecondSignal: (signal) => force(`second ${signal}, exiting`),
    },
    async ({ signal, err }) => {
      if (err) log.fatal({ err }, 'uncaught error, shutting down');
      else log.info({ signal }, 'shutting down');
      const haveAllEndedWell = await processes.close();
      await metrics?.close();
      if (!haveAllEndedWell) process.exit(1);
    },
  );
  onHangUp({ reload: () => processes.reload(), close: () => grace.close() });

  await listenForMetricsOrExit(metrics, config, async () => {});
  try {
    announce(config, await processes.start(), log);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    log.error({ reason: error.message }, 'not all processes could be started');
    await end(error.exitCode);
  }
}

/** Loaded only where metrics are wanted. */
async function createMetrics({ METRICS_PORT }: Config, processes: MeasuredProcesses): Promise<WholeMetrics | undefined> {
  if (METRICS_PORT === 0) return undefined;
  const { WholeMetrics } = await import('../metrics/whole-metrics.ts');
  const detail = 'Redis is backed up by its own means.';
  return new WholeMetrics(processes, async () => ({ status: 404, body: { code: 'backups_off', detail } }));
}
