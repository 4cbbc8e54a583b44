// Has a copy checked by a process of its own (check-process.ts). SQLite's check cannot be interrupted and may take
// minutes: a process can be killed, yields to the service by its priority, and keeps its memory for itself.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { BackupError } from './backup-error.ts';

/** What a copy has. */
export interface Contents {
  readonly bytes: number;
  /** Live ones. */
  readonly sessions: number;
  readonly models: number;
  /** `sha256:<hex>` of the file. */
  readonly digest: string;
}

/** What the process says, as one JSON value on stdout. */
export type CheckReply = Contents | { readonly damage: string };

const ENTRY = fileURLToPath(new URL('./check-process.ts', import.meta.url));
/** Of a core that both want, a busy service then gets three quarters. */
const NICENESS = 5;
const REASON_LENGTH_MAX = 500;

/**
 * @param signal kills the process
 * @throws BackupError backup_damaged · backup_failed, also when it is aborted
 */
export async function checkCopy(path: string, signal: AbortSignal): Promise<Contents> {
  const child = spawn(process.execPath, [ENTRY, path], { stdio: ['ignore', 'pipe', 'pipe'] });
  yieldToService(child.pid);
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  if (signal.aborted) kill();
  let reply: CheckReply;
  try {
    // Rejects if the process cannot be started.
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    if (child.exitCode !== 0) throw new Error(stderr.trim().slice(-REASON_LENGTH_MAX) || `ended by ${child.signalCode}`);
    reply = JSON.parse(stdout) as CheckReply;
  } catch (cause) {
    throw new BackupError('backup_failed', `The copy could not be checked: ${(cause as Error).message}.`, { cause });
  } finally {
    signal.removeEventListener('abort', kill);
  }
  if (!('damage' in reply)) return reply;
  throw new BackupError('backup_damaged', `The copy was checked, and is not kept: ${reply.damage}`);
}

function yieldToService(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, NICENESS);
  } catch {
    // It has ended, or the system does not allow it: then it has the priority of the service.
  }
}
