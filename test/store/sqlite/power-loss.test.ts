// An acknowledged change survives a loss of power, as the order of the system calls shows.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { count } from '../../helpers/long.ts';
import { describeWith } from '../../helpers/needs.ts';
import { checkTraceLines } from '../../helpers/trace.ts';
import { loadRules, traceLoad } from './trace-load.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-power-'));
afterAll(() => rmSync(folder, { recursive: true }));

// npm run verify:power-loss takes ten times as many.
const changes = count('TRACED_CHANGES', { short: 256, long: 1_024 });
const load = { sessions: 32, changes: changes / 32 };

describeWith('strace', 'the store', () => {
  const timeout = 60_000 + changes * 50;

  test('no change is acknowledged before the fsync that covers it', { timeout }, async () => {
    const { acknowledgedCount, syncsCount, violations } = await traceLoad(join(folder, 'full'), load);
    expect(acknowledgedCount).toBe(changes);
    expect(violations).toEqual([]);
    // Group commit: fewer syncs than changes.
    expect(syncsCount).toBeLessThan(0.7 * changes);
  });

  test('control: without syncs every change is acknowledged too early', { timeout }, async () => {
    const options = { ...load, withoutSync: true };
    const { acknowledgedCount, violations } = await traceLoad(join(folder, 'off'), options);
    expect(acknowledgedCount).toBe(changes);
    expect(violations).toHaveLength(changes);
  });
});

describe('the check of a trace', () => {
  const wal = '21</d/carryover.sqlite-wal>';
  const write = `7 pwrite64(${wal}, "..m1.2;..", 9, 0) = 9`;
  const sync = `7 fsync(${wal}) = 0`;
  const ack = '6 write(1<pipe:[9]>, "ack m1.2;\\n", 10) = 10';
  const violationsOf = async (...lines: string[]) =>
    (await checkTraceLines(lines, loadRules)).violations;

  test('the check accepts a write, its sync, and then the acknowledgement', async () => {
    expect(await violationsOf(write, sync, ack)).toEqual([]);
    expect(await violationsOf(write, sync, write, ack)).toEqual([]);
  });

  test.each([
    ['no sync', [write, ack]],
    ['no write', [sync, ack]],
    ['a sync before the write', [sync, write, ack]],
    ['a sync after the acknowledgement', [write, ack, sync]],
    ['a sync that failed', [write, `7 fsync(${wal}) = -1 EIO (an error) (INJECTED)`, ack]],
    ['a write that failed', [write.replace('= 9', '= -1 ENOSPC (No space left)'), sync, ack]],
    ['a sync of another file', [write, sync.replace('-wal', ''), ack]],
    ['a sync of a file in another folder', [write, '7 fsync(3</d>) = 0', ack]],
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
  ])('the check finds %s', async (_, lines) => {
    expect(await violationsOf(...lines)).toHaveLength(1);
  });

  test('the check follows calls of several threads that run at once', async () => {
    const lines = [
      write.replace(') = 9', ' <unfinished ...>'),
      '9 write(2</dev/null>, "x", 1) = 1',
      '7 <... pwrite64 resumed>) = 9',
      `7 fsync(${wal} <unfinished ...>`,
      '7 <... fsync resumed>) = 0',
      ack.replace(') = 10', ' <unfinished ...>'),
    ];
    const { acknowledgedCount, syncsCount, violations } = await checkTraceLines(lines, loadRules);
    expect({ acknowledgedCount, syncsCount, violations }).toEqual({
      acknowledgedCount: 1,
      syncsCount: 1,
      violations: [],
    });
  });
});
