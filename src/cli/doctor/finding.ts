// One line of `carryover doctor`.
import type { ExitCode } from '../exit-codes.ts';

export type Status = 'ok' | 'warn' | 'fail';

export interface Finding {
  readonly name: string;
  readonly status: Status;
  readonly found: string;
  /** What to do; of all that is not ok. */
  readonly advice?: string;
  /** Of the command; of what has failed. */
  readonly exitCode?: ExitCode;
}

export const ok = (name: string, found: string): Finding => ({ name, status: 'ok', found });

export const warn = (name: string, found: string, advice: string): Finding => ({ name, status: 'warn', found, advice });

export const fail = (name: string, found: string, advice: string, exitCode: ExitCode): Finding => ({
  name,
  status: 'fail',
  found,
  advice,
  exitCode,
});
