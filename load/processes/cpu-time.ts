// The processor time of another process, of all its threads, as Linux counts it.
import { readFileSync } from 'node:fs';

/** What Linux counts in, on every platform that Node.js has builds for. */
const TICK_MS = 10;

/** User and system time since it began, in ms. @throws Error if there is no such process, or no Linux */
export function cpuTimeMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name of the command, in parentheses, may have spaces; utime and stime are the 14th and 15th field.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
