// The order of system calls of a process that changes sessions in a SQLite store.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../helpers/process.ts';
import { type TraceReport, type TraceRules, checkTrace, straceArgs } from '../../helpers/trace.ts';
import { kill, startLoad } from './load-process.ts';

const WITHOUT_SYNC = new URL('../../fixtures/store/without-sync.ts', import.meta.url).href;

const marksIn = (data: string) => [...data.matchAll(/m\d+\.\d+;/g)].map(([mark]) => mark);

export const loadRules: TraceRules = {
  isStore: (path) => /carryover\.sqlite(-wal)?$/.test(path),
  marksStored: marksIn,
  marksAcknowledged: (data) => (data.includes('"ack ') ? marksIn(data) : []),
};

export interface TraceLoadOptions {
  readonly sessions: number;
  readonly changes: number;
  readonly withoutSync?: boolean;
}

export async function traceLoad(
  folder: string,
  { sessions, changes, withoutSync = false }: TraceLoadOptions,
): Promise<TraceReport> {
  mkdirSync(folder);
  const traceFile = join(folder, 'trace');
  const path = join(folder, 'carryover.sqlite');
  const options = { path, sessions, changes, ...(withoutSync ? { entry: WITHOUT_SYNC } : {}) };
  const load = startLoad(options, ['strace', ...straceArgs(traceFile)]);
  await until(load, () => /^done$/m.exec(load.output()));
  await kill(load);
  return checkTrace(traceFile, loadRules);
}
