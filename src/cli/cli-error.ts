// An error that ends a command: its message is printed without a stack, and says what was found, what was expected and
// what to do.
import type { ExitCode } from './exit-codes.ts';

export class CliError extends Error {
  readonly exitCode: ExitCode;
  /** The `code` of the problem that the service answered with, if it did. */
  readonly code: string | undefined;

  constructor(exitCode: ExitCode, message: string, { code, cause }: { code?: string; cause?: unknown } = {}) {
    super(message, { cause });
    this.exitCode = exitCode;
    this.code = code;
  }
}
