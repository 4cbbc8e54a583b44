import { randomInt } from 'node:crypto';

/** As far as randomInt() goes; the number of a record's changes added to it is still an integer in float64. */
const FIRST_MAX = 2 ** 48 - 1;

/**
 * The number from which the revisions of a record are counted. It is random: a record that is created again under its id, after
 * its tombstone was forgotten, has other revisions than before.
 */
export function firstRevision(): number {
  return randomInt(FIRST_MAX);
}
