import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';

/** What is wrong with the file of --check. */
export const wrong = (message: string, cause?: unknown) => new CliError(EXIT.data, message, { cause });
