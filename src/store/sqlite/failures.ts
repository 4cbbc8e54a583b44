// What the errors of the database mean for the requests that they stopped.
import type { Applied } from '../../errors.ts';
import { type Failure, type Request, isWrite } from './messages.ts';
import { Refusal, replacedMessage, sqliteCode } from './open.ts';
import { FREE_BYTES_NEEDED, NoSpaceError, isFull } from './reserve.ts';

/** What has come of a request: its value, or why it failed. */
export type RequestOutcome = { readonly value: unknown } | { readonly failure: Failure };

export interface FailureOptions {
  /** Whether the changes may have reached the disk. */
  readonly applied: Applied;
  /** The limit of the file, if it was reached; else a full database means that the disk is full. */
  readonly limitBytes: number | undefined;
}

/** The failures of requests whose transaction an error has stopped. */
export function failuresOf(
  group: readonly Request[],
  error: unknown,
  { applied, limitBytes }: FailureOptions,
): RequestOutcome[] {
  const reason = oneLine(error);
  return group.map(({ call }): RequestOutcome => {
    if (isWrite(call) && applied === 'unknown') {
      const detail = `The session store failed (${reason}) when the change was nearly done.`;
      return { failure: { code: 'store_unavailable', detail, applied } };
    }
    if (!isExpected(error)) return { failure: { code: 'internal', detail: notChanged(reason), applied: 'no' } };
    if (isWrite(call) && isFull(error)) {
      return { failure: { code: 'store_full', detail: fullDetail(limitBytes), applied: 'no' } };
    }
    return { failure: { code: 'store_unavailable', detail: notChanged(reason), applied: 'no' } };
  });
}

/** The failures of requests to a file that was deleted or replaced. */
export function replacedFailures(group: readonly Request[], path: string, applied: Applied): RequestOutcome[] {
  const detail = `The session store cannot be used: ${replacedMessage(path)}.`;
  return group.map(({ call }) => ({
    failure: { code: 'store_unavailable', detail, applied: isWrite(call) ? applied : 'no' },
  }));
}

function notChanged(reason: string): string {
  return `The session store failed (${reason}); nothing was changed.`;
}

function fullDetail(limitBytes: number | undefined): string {
  if (limitBytes !== undefined) {
    return `The session store has ${limitBytes} bytes (STORE_BYTES_MAX); nothing was changed.`;
  }
  const needed = `${FREE_BYTES_NEEDED / 2 ** 20} MiB`;
  return (
    `The disk of the session store is full: delete sessions or models, or have ${needed} free; ` +
    'nothing was changed.'
  );
}

/** Whether an error is one of SQLite or of the system; others are bugs. */
export function isExpected(error: unknown): boolean {
  const isOfSystem = error instanceof Error && 'syscall' in error;
  return (
    error instanceof Refusal ||
    error instanceof NoSpaceError ||
    sqliteCode(error) !== undefined ||
    isOfSystem
  );
}

/** Whether a page is damaged: that affects the requests which need it, and not the store as a whole. */
export function isCorruption(error: unknown): boolean {
  return sqliteCode(error)?.startsWith('SQLITE_CORRUPT') ?? false;
}

/** The code and message of an error, in one line. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const code = sqliteCode(error);
  return (code ? `${code}: ${text}` : text).replaceAll(/\s+/g, ' ');
}
