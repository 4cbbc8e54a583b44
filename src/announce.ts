// What the log and the terminal say when the service listens.
import { type Config, hasAccessControl, processesOf, workersOf } from './config.ts';
import { greeting } from './greeting.ts';
import { isLoopbackHost } from './settings/hosts.ts';

/** What is known of the service only when it listens. It is sent from one process to another. */
export interface Listening {
  /** Of the socket. */
  readonly address: string;
  readonly port: number;
  readonly version: string;
  /** Which vectors the kernels run with: simd128 or simd256. */
  readonly kernel: string;
  /** The store, and what an answered change survives. */
  readonly store: string;
}

interface Log {
  info(text: string): void;
  warn(fields: object, text: string): void;
}

/** Once, however many processes serve. */
export function announce(config: Config, listening: Listening, log: Log): void {
  warnIfOpen(config, listening, log);
  // On stderr, so that stdout has only log lines.
  process.stderr.write(greetingOf(config, listening));
}

/** Without keys and tokens only the network restricts who can use the service. */
function warnIfOpen(config: Config, { address }: Listening, log: Log): void {
  if (hasAccessControl(config)) return;
  if (isLoopbackHost(address)) {
    log.info('no API keys: every program on this machine can use, change and delete all models and sessions (API_KEYS_FILE)');
    return;
  }
  log.warn(
    { address },
    'listening beyond this machine without API keys (ALLOW_ANONYMOUS): whoever reaches this address can use, change ' +
      'and delete all models and sessions. Restrict access to it, or set API_KEYS_FILE.',
  );
}

function greetingOf(config: Config, { address, port, version, kernel, store }: Listening): string {
  const addressOf = (host: string, at: number) => `${host.includes(':') ? `[${host}]` : host}:${at}`;
  const started = {
    version,
    url: `${config.TLS_CERT_FILE === '' ? 'http' : 'https'}://${addressOf(config.HOST, port)}`,
    publicUrl: config.PUBLIC_URL || undefined,
    metricsUrl: config.METRICS_PORT === 0 ? undefined : `http://${addressOf(config.METRICS_HOST || config.HOST, config.METRICS_PORT)}/metrics`,
    store,
    processes: processesOf(config),
    workers: workersOf(config),
    kernel,
    needsKey: hasAccessControl(config),
    isBeyondMachine: !isLoopbackHost(address),
  };
  return greeting(started, process.stderr);
}
