// The progress bar of the command line, for the programs of this folder.
import { type Progress, startProgress as start } from '../../src/cli/progress.ts';

export type { Progress };

/** @param what the label of the bar · @param total the count at which it is full */
export function startProgress(what: string, total: number): Promise<Progress> {
  return start({ stderr: process.stderr, env: process.env }, what, total);
}
