// A process that serves: listening, signals, exit codes. Nothing else.
import type { AddressInfo } from 'node:net';
import closeWithGrace from 'close-with-grace';
import { type Listening, announce } from './announce.ts';
import { type App, createApp } from './app.ts';
import { type Config, ConfigError } from './config.ts';
import { EXIT_CONFIG, listenForMetricsOrExit } from './exits.ts';
import { onHangUp } from './hang-up.ts';
import { HeldLines, type LogLines, createAuditLogger, createLogger, stdoutDestination } from './logging.ts';
import type { Member } from './processes/member.ts';
import { addressOfHost } from './settings/hosts.ts';
import { SettingError } from './settings/setting-error.ts';

/** Of a process among others: the first signal ends it, and a second one, which a terminal sends to all of them, says nothing new. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const;

/** @param member undefined if this process serves alone */
export async function serve(config: Config, member?: Member): Promise<void> {
  let app: App | undefined;
  let isClosing = false;

  // Before anything slow: a process that is PID 1 of its container ignores a signal without a handler.
  const skip = ['SIGHUP', ...(member ? SIGNALS : [])] as const;
  const grace = closeWithGrace({ delay: config.SHUTDOWN_TIMEOUT_MS, skip: [...skip] }, async ({ signal, err }) => {
    isClosing = true;
    if (!app) return;
    if (err) app.http.log.fatal({ err }, 'uncaught error, shutting down');
    else app.http.log.info({ signal }, 'shutting down');
    await app.drain(err ? 0 : config.DRAIN_DELAY_MS);
    await app.close();
    await member?.leave();
  });
  const close = () => {
    if (!isClosing) grace.close();
  };
  const reload = () => app?.reload();
  onHangUp({ reload, close });
  if (member) {
    member.listen({ reload, close });
    for (const signal of SIGNALS) process.on(signal, close);
  }

  const stdout = await stdoutDestination(member !== undefined);
  // Where it greets itself, that comes before the lines of the start.
  const held = process.stdout.isTTY && !member ? new HeldLines(stdout) : undefined;
  const started = await createOrExit(config, member, held ?? stdout);
  app = started;
  if (!member) await listenForMetricsOrExit(started.metrics, config, () => started.close());
  await listenOrExit(started, config);
  if (member) member.join(started, listeningOf(started));
  else announce(config, listeningOf(started), started.http.log);
  held?.release();
}

async function createOrExit(config: Config, member: Member | undefined, lines: LogLines): Promise<App> {
  try {
    const logger = createLogger(config.LOG_LEVEL, lines);
    const onAuditError = (err: unknown) => logger.error({ err }, 'the audit log cannot be written');
    const auditLogger = openAuditLog(config, onAuditError);
    return await createApp(config, { logger, auditLogger, problemsOfOthers: member && (() => member.problemsOfOthers) });
  } catch (error) {
    console.error(`Cannot start: ${(error as Error).message}`);
    process.exit(error instanceof ConfigError || error instanceof SettingError ? EXIT_CONFIG : 1);
  }
}

/** @returns undefined without AUDIT_LOG · @throws ConfigError if its file cannot be opened */
function openAuditLog({ AUDIT_LOG }: Config, onError: (error: unknown) => void): ReturnType<typeof createAuditLogger> | undefined {
  if (AUDIT_LOG === '') return undefined;
  try {
    return createAuditLogger(AUDIT_LOG, onError);
  } catch (cause) {
    const reason = `AUDIT_LOG is not a file that can be written: ${(cause as Error).message}`;
    throw new ConfigError(`${reason}. Expected one that this user may write, \`-\` for stdout, or no AUDIT_LOG.`, { cause });
  }
}

async function listenOrExit(started: App, config: Config): Promise<void> {
  try {
    await started.http.listen({ host: addressOfHost(config.HOST), port: config.PORT });
  } catch (error) {
    console.error(`Cannot listen: ${(error as Error).message}. Choose another with HOST and PORT.`);
    await started.close();
    process.exit(1);
  }
}

function listeningOf({ http, version, kernel, store }: App): Listening {
  const { address, port } = http.server.address() as AddressInfo;
  return { address, port, version, kernel, store: store.description };
}
