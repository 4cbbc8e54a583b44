// The process: configuration, listening, signals, exit codes. Nothing else.
import { closeSync, openSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import closeWithGrace from 'close-with-grace';
import { type App, createApp } from './app.ts';
import { type Config, ConfigError, hasAccessControl, readConfig } from './config.ts';
import { greeting } from './greeting.ts';
import { isLoopbackHost } from './settings/hosts.ts';
import { SettingError } from './settings/setting-error.ts';
import { createAuditLogger, createLogger, stdoutDestination } from './logging.ts';

/** From sysexits.h. */
const EXIT_CONFIG = 78;

const config = readConfigOrExit();
let app: App | undefined;

// Before anything slow: a process that is PID 1 of its container ignores a signal without a handler.
const grace = closeWithGrace({ delay: config.SHUTDOWN_TIMEOUT_MS, skip: ['SIGHUP'] }, async ({ signal, err }) => {
  if (!app) return;
  if (err) app.http.log.fatal({ err }, 'uncaught error, shutting down');
  else app.http.log.info({ signal }, 'shutting down');
  await app.drain(err ? 0 : config.DRAIN_DELAY_MS);
  await app.close();
});

// The signal means two things: read the certificate again; or the terminal is gone, and with it who started the process.
const hasTerminal = canOpenTerminal();
process.on('SIGHUP', () => {
  if (hasTerminal && !canOpenTerminal()) grace.close();
  else app?.reload();
});

app = await createOrExit();
await listenForMetricsOrExit(app);
await listenOrExit(app);
warnIfOpen(app);
greet(app);

/** Whether the process has a terminal that is still there. */
function canOpenTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

function readConfigOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(EXIT_CONFIG);
  }
}

async function createOrExit(): Promise<App> {
  try {
    const logger = createLogger(config.LOG_LEVEL, await stdoutDestination());
    const onAuditError = (err: unknown) => logger.error({ err }, 'the audit log cannot be written');
    const auditLogger = config.AUDIT_LOG === '' ? undefined : createAuditLogger(config.AUDIT_LOG, onAuditError);
    return await createApp(config, { logger, auditLogger });
  } catch (error) {
    console.error(`Cannot start: ${(error as Error).message}`);
    process.exit(error instanceof ConfigError || error instanceof SettingError ? EXIT_CONFIG : 1);
  }
}

/** Before the service itself: a service that cannot be watched is to fail before it has clients. */
async function listenForMetricsOrExit(started: App): Promise<void> {
  const host = hostOf(config.METRICS_HOST || config.HOST);
  try {
    await started.metrics?.listen(host, config.METRICS_PORT);
  } catch (error) {
    console.error(`Cannot listen: ${(error as Error).message}. Choose another with METRICS_HOST and METRICS_PORT.`);
    await started.close();
    process.exit(EXIT_CONFIG);
  }
}

/** For localhost Fastify would also listen on ::1, with a second server whose connections are not tracked. */
function hostOf(setting: string): string {
  return setting === 'localhost' ? '127.0.0.1' : setting;
}

async function listenOrExit(started: App): Promise<void> {
  try {
    await started.http.listen({ host: hostOf(config.HOST), port: config.PORT });
  } catch (error) {
    console.error(`Cannot listen: ${(error as Error).message}. Choose another with HOST and PORT.`);
    await started.close();
    process.exit(1);
  }
}

/** Without keys and tokens only the network restricts who can use the service. */
function warnIfOpen({ http }: App): void {
  if (hasAccessControl(config)) return;
  const { address } = http.server.address() as AddressInfo;
  if (isLoopbackHost(address)) {
    http.log.info('no API keys: every program on this machine can use, change and delete all models and sessions (API_KEYS_FILE)');
    return;
  }
  http.log.warn(
    { address },
    'listening beyond this machine without API keys (ALLOW_ANONYMOUS): whoever reaches this address can use, change ' +
      'and delete all models and sessions. Restrict access to it, or set API_KEYS_FILE.',
  );
}

/** On stderr, so that stdout has only log lines. */
function greet({ http, version, kernel, store }: App): void {
  const { address, port } = http.server.address() as AddressInfo;
  const addressOf = (host: string, at: number) => `${host.includes(':') ? `[${host}]` : host}:${at}`;
  const started = {
    version,
    url: `${config.TLS_CERT_FILE === '' ? 'http' : 'https'}://${addressOf(config.HOST, port)}`,
    publicUrl: config.PUBLIC_URL || undefined,
    metricsUrl: config.METRICS_PORT === 0 ? undefined : `http://${addressOf(config.METRICS_HOST || config.HOST, config.METRICS_PORT)}/metrics`,
    store: store.description,
    workers: config.WORKERS,
    kernel,
    needsKey: hasAccessControl(config),
    isBeyondMachine: !isLoopbackHost(address),
  };
  process.stderr.write(greeting(started, process.stderr));
}
