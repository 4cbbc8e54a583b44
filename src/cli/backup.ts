// carryover backup: has a running service make a backup of its SQLite store. The file belongs to that process, so no
// other one can make it.
import { type Command, Option } from 'commander';
import type { BackupAnswer, BackupReport } from '../backup/backups.ts';
import { CliError } from './cli-error.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { type Io, print, printJson } from './io.ts';
import { withExamples, withJson } from './options.ts';
import { Service } from './service.ts';
import { formatCount, formatTable } from './table.ts';

/** By the status of an answer that is no backup. */
const EXIT_OF_STATUS: Readonly<Record<number, ExitCode>> = {
  404: EXIT.unavailable,
  409: EXIT.temporary,
  500: EXIT.cannotCreate,
  503: EXIT.temporary,
  507: EXIT.cannotCreate,
};

/** Addresses that mean all of a machine, of which this one is called. */
const EVERYWHERE = ['', '0.0.0.0', '::', 'localhost'];

export function backupCommand(program: Command, io: Io): void {
  const command = withJson(program.command('backup'))
    .description('Back up the SQLite store of a running service into the BACKUP_DIR that it was started with.')
    .addOption(new Option('--url <address>', 'METRICS_HOST and METRICS_PORT of the service').default(addressIn(io.env)))
    .action((options: { readonly url?: string; readonly json?: boolean }) => backup(options, io));
  withExamples(command, ['backup --url http://127.0.0.1:9464']);
}

/** Where a service with these settings, as that of the same container, makes backups. */
function addressIn(env: Io['env']): string | undefined {
  const port = env['METRICS_PORT'];
  if (!port) return undefined;
  const host = env['METRICS_HOST'] || env['HOST'] || '';
  const called = EVERYWHERE.includes(host) ? '127.0.0.1' : host;
  return `http://${called.includes(':') ? `[${called}]` : called}:${port}`;
}

async function backup({ url, json }: { readonly url?: string; readonly json?: boolean }, io: Io): Promise<void> {
  if (url === undefined) {
    throw new CliError(EXIT.usage, 'The port of backups is not known: set --url, or METRICS_PORT as the service has it.');
  }
  const service = new Service(io, url);
  const { status, text } = await service.tryCall('/backup', { method: 'POST' });
  const body = readJson(text);
  if (status === 201 && body && 'file' in body) return json ? printJson(io, body) : print(io, describe(body));
  if (body && 'code' in body) {
    throw new CliError(EXIT_OF_STATUS[status] ?? EXIT.software, `${body.detail} [${body.code}]`, { code: body.code });
  }
  throw new CliError(
    EXIT.unavailable,
    `${service.url.origin} answered with status ${status} and no backup, expected the port that METRICS_PORT of a service names.`,
  );
}

function readJson(text: string): BackupAnswer['body'] | undefined {
  try {
    return JSON.parse(text) as BackupAnswer['body'];
  } catch {
    return undefined;
  }
}

function describe({ file, bytes, sessions, models, digest, started_at, ms }: BackupReport): string {
  return formatTable(
    [
      ['file', file],
      ['bytes', formatCount(bytes)],
      ['sessions', formatCount(sessions)],
      ['models', formatCount(models)],
      ['digest', digest],
      ['started', started_at],
      ['ms', formatCount(ms)],
    ],
    () => 'left',
  );
}
