// An acknowledged change outlives a loss of power: from the order of the system calls.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { until } from '../helpers/process.ts';
import { canTrace, checkTrace, checkTraceLines, straceArgs } from '../helpers/trace.ts';
import { kill, startLoad } from './load-process.ts';

if (!canTrace) console.warn('SKIPPED: the order of system calls, for want of strace or ptrace');

const folder = mkdtempSync(join(tmpdir(), 'carryover-power-'));
afterAll(() => rmSync(folder, { recursive: true }));

const marksIn = (data: string) => [...data.matchAll(/m\d+\.\d+;/g)].map(([mark]) => mark);
const rules = {
  isStore: (path: string) => /carryover\.sqlite(-wal)?$/.test(path),
  marksStored: marksIn,
  marksAcknowledged: (data: string) => (data.includes('"ack ') ? marksIn(data) : []),
};

async function trace(name: string, entry?: string) {
  const path = join(folder, name, 'carryover.sqlite');
  const traceFile = join(folder, `${name}.trace`);
  const options = { path, sessions: 16, changes: 64, ...(entry === undefined ? {} : { entry }) };
  const load = startLoad(options, ['strace', ...straceArgs(traceFile)]);
  await until(load, () => load.output().includes('done') || undefined);
  await kill(load);
  return checkTrace(traceFile, rules);
}

test.runIf(canTrace)('no change is acknowledged before the fsync that covers it', async () => {
  const { acknowledgedCount, syncsCount, violations } = await trace('full');
  expect(acknowledgedCount).toBe(1_024);
  expect(violations).toEqual([]);
  // Groups: far fewer syncs than changes.
  expect(syncsCount).toBeLessThan(700);
});

test.runIf(canTrace)('control: without syncs every acknowledgement comes too early', async () => {
  const entry = new URL('../fixtures/store/without-sync.ts', import.meta.url).href;
  const { acknowledgedCount, violations } = await trace('off', entry);
  expect(acknowledgedCount).toBe(1_024);
  expect(violations).toHaveLength(1_024);
});

describe('the check of a trace', () => {
  const wal = '21</d/carryover.sqlite-wal>';
  const write = `7 pwrite64(${wal}, "..m1.2;..", 9, 0) = 9`;
  const sync = `7 fsync(${wal}) = 0`;
  const ack = '6 write(1<pipe:[9]>, "ack m1.2;\\n", 10) = 10';
  const violationsOf = async (...lines: string[]) =>
    (await checkTraceLines(lines, rules)).violations;

  test('is content with a write, its sync, and then the acknowledgement', async () => {
    expect(await violationsOf(write, sync, ack)).toEqual([]);
    expect(await violationsOf(write, sync, write, ack)).toEqual([]);
  });

  test.each([
    ['no sync', [write, ack]],
    ['no write', [sync, ack]],
    ['a sync before the write', [sync, write, ack]],
    ['a sync after the acknowledgement', [write, ack, sync]],
    ['a sync that failed', [write, `7 fsync(${wal}) = -1 EIO (Input/output error) (INJECTED)`, ack]],
    ['a write that failed', [write.replace('= 9', '= -1 ENOSPC (No space left)'), sync, ack]],
    ['a sync of another file', [write, sync.replace('-wal', ''), ack]],
    ['a sync of a file elsewhere', [write, '7 fsync(3</d>) = 0', ack]],
    ['a sync that has not ended', [write, `7 fsync(${wal} <unfinished ...>`, ack]],
    [
      'a sync that began before the write had ended',
      [
        write.replace(') = 9', ' <unfinished ...>'),
        `8 fsync(${wal} <unfinished ...>`,
        '7 <... pwrite64 resumed>) = 9',
        '8 <... fsync resumed>) = 0',
        ack,
      ],
    ],
    ['another mark', [write, sync, ack.replace('m1.2', 'm1.3')]],
  ])('finds %s', async (_, lines) => {
    expect(await violationsOf(...lines)).toHaveLength(1);
  });

  test('follows calls of several threads that run at once', async () => {
    const lines = [
      write.replace(') = 9', ' <unfinished ...>'),
      '9 write(2</dev/null>, "x", 1) = 1',
      '7 <... pwrite64 resumed>) = 9',
      `7 fsync(${wal} <unfinished ...>`,
      '7 <... fsync resumed>) = 0',
      ack.replace(') = 10', ' <unfinished ...>'),
    ];
    const { acknowledgedCount, syncsCount, violations } = await checkTraceLines(lines, rules);
    expect({ acknowledgedCount, syncsCount, violations }).toEqual({
      acknowledgedCount: 1,
      syncsCount: 1,
      violations: [],
    });
  });
});
