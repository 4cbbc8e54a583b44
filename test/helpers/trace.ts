// Shows from the order of a process's system calls that nothing is acknowledged before it is on the
// disk. A kill -9 cannot show that: what was written and not synced survives it.
//
// A change carries a mark, a text of its own. The mark must be in a write to a file of the store,
// that write must have ended before an fsync of the same file began, and that fsync must have
// succeeded before the write of the acknowledgement begins.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

const CALLS = 'write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync';

/** A page of a database, and an answer, must be in the trace as a whole. */
const DATA_BYTES_MAX = 16_384;

/** Arguments of strace before the command to be traced; more may be put between. Other calls are not interrupted. */
export function straceArgs(traceFile: string): string[] {
  return ['-f', '--seccomp-bpf', '-y', '-qq', '-s', `${DATA_BYTES_MAX}`, '-e', `trace=${CALLS}`, '-o', traceFile];
}

export interface TraceRules {
  /** Whether this is a file of the store whose syncs count. */
  readonly isStore: (path: string) => boolean;
  /** The marks in data that is written to a file of the store. */
  readonly marksStored: (data: string) => Iterable<string>;
  /** The marks that are acknowledged by data written to any other file, pipe or socket. */
  readonly marksAcknowledged: (data: string, path: string) => Iterable<string>;
}

export interface TraceReport {
  /** Different marks; a partial write is tried again. */
  readonly acknowledgedCount: number;
  /** Of files of the store, successful. */
  readonly syncsCount: number;
  /** Marks that were acknowledged too early. */
  readonly violations: readonly string[];
}

interface CallBegun {
  readonly path: string;
  readonly data: string;
  /** For a sync: what it will have covered. */
  readonly covered?: readonly string[];
}

/** Reads what strace has written with `straceArgs`. */
export async function checkTrace(traceFile: string, rules: TraceRules): Promise<TraceReport> {
  const lines = createInterface({ input: createReadStream(traceFile, 'latin1') });
  return checkTraceLines(lines, rules);
}

export async function checkTraceLines(
  lines: AsyncIterable<string> | Iterable<string>,
  { isStore, marksStored, marksAcknowledged }: TraceRules,
): Promise<TraceReport> {
  const durable = new Set<string>();
  const acknowledged = new Set<string>();
  const violations = new Set<string>();
  let syncsCount = 0;
  /** By file: marks written since its last sync. */
  const written = new Map<string, Set<string>>();
  /** By thread: the call that it has begun. */
  const running = new Map<string, CallBegun>();

  const begin = (name: string, path: string, data: string): CallBegun => {
    if (name.includes('sync')) return { path, data, covered: [...(written.get(path) ?? [])] };
    if (!isStore(path)) {
      for (const mark of marksAcknowledged(data, path)) {
        acknowledged.add(mark);
        if (!durable.has(mark)) violations.add(mark);
      }
    }
    return { path, data };
  };

  const end = ({ path, data, covered }: CallBegun, hasFailed: boolean): void => {
    if (hasFailed || !isStore(path)) return;
    if (!covered) {
      const marks = written.get(path) ?? new Set();
      written.set(path, marks);
      for (const mark of marksStored(data)) if (!durable.has(mark)) marks.add(mark);
      return;
    }
    syncsCount++;
    for (const mark of covered) {
      durable.add(mark);
      written.get(path)!.delete(mark);
    }
  };

  for await (const line of lines) {
    const [, thread, rest] = /^(?:\[pid +)?(\d+)\]? +(.*)$/s.exec(line) ?? [];
    if (thread === undefined || rest === undefined) continue;
    if (rest.startsWith('<... ')) {
      const call = running.get(thread);
      running.delete(thread);
      if (call) end(call, hasFailed(rest));
      continue;
    }
    const [, name, path, data] = /^(\w+)\(\d+<(.*?)>(?=[,)\s])(.*)$/s.exec(rest) ?? [];
    if (name === undefined || path === undefined || data === undefined) continue;
    const call = begin(name, path, data.replaceAll(String.raw`\"`, '"'));
    if (rest.endsWith('<unfinished ...>')) running.set(thread, call);
    else end(call, hasFailed(rest));
  }
  return { acknowledgedCount: acknowledged.size, syncsCount, violations: [...violations] };
}

function hasFailed(line: string): boolean {
  return !/ = \d+(?: \(INJECTED\))?$/.test(line);
}
