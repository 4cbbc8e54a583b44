// How a process ends that cannot start: one line on stderr, and an exit code.
import type { Config } from './config.ts';
import { addressOfHost } from './settings/hosts.ts';

/** From sysexits.h. */
export const EXIT_CONFIG = 78;

interface Listener {
  listen(host: string, port: number): Promise<void>;
}

/**
 * Before the service itself: a service that cannot be watched is to fail before it has clients.
 *
 * @param metrics undefined without METRICS_PORT
 * @param close what is open already
 */
export async function listenForMetricsOrExit(
  metrics: Listener | undefined,
  config: Config,
  close: () => Promise<void>,
): Promise<void> {
  try {
    await metrics?.listen(addressOfHost(config.METRICS_HOST || config.HOST), config.METRICS_PORT);
  } catch (error) {
    process.stderr.write(`Cannot listen: ${(error as Error).message}. Choose another with METRICS_HOST and METRICS_PORT.\n`);
    await close();
    process.exit(EXIT_CONFIG);
  }
}
