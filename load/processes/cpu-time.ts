// The processor time of another process, as Linux counts it for each of its threads.
import { readFileSync, readdirSync } from 'node:fs';

/** Of all threads that run, since each began, in ms. @throws Error if there is no such process, or no Linux */
export function cpuTimeMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + onCpuMs(`/proc/${pid}/task/${thread}/schedstat`), 0);
}

/** The same of the process and of all that it has started, and that run. */
export function cpuTimeOfTreeMs(pid: number): number {
  return childrenOf(pid).reduce((sum, child) => sum + cpuTimeOfTreeMs(child), cpuTimeMs(pid));
}

/** The processes that a process has started, and that run. */
export function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  });
}

/** The first number is the time on a processor, in ns; a thread that has just ended has no file. */
function onCpuMs(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return 0;
  }
}
