// A Lua script that Redis executes. A script is atomic, and all its keys are on one node of a cluster: their names have the
// same hash tag, the part in braces.
import { createHash } from 'node:crypto';

export interface Script {
  readonly source: string;
  /** SHA-1 of the source in hex, by which EVALSHA names it. */
  readonly sha: string;
}

export function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}
