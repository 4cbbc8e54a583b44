// A SQLite store whose process was killed, or whose file is damaged.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pseudoRandom } from '../../../src/wasm/pseudo-random.ts';
import { sized } from '../../helpers/long.ts';
import { until } from '../../helpers/process.ts';
import { MODEL_ID, create, headOf, newPath, open, outcomeOf, parts, putModel, threadFixture } from './helpers.ts';
import { kill, marksThat, startLoad } from './load-process.ts';

describe('kill -9 under load', () => {
  /** Kills a load after so many acknowledged changes, and reads what the store holds. */
  async function killedAfter(changes: number, entry?: string) {
    const path = newPath();
    const fault = entry === undefined ? {} : { entry: threadFixture(entry).href };
    const load = startLoad({ path, sessions: 32, changes: 5_000, ...fault });
    await until(load, () => marksThat('ack', load).length > changes || undefined);
    await kill(load);
    const store = await open(path);
    const heads: string[] = [];
    for (let k = 0; k < 32; k++) heads.push(await headOf(store, `session-${k}`));
    await store.close();
    const lost = marksThat('ack', load).filter(
      (mark) => !heads[Number(/\d+/.exec(mark))]!.includes(mark),
    );
    return { lost, heads };
  }

  test.each(sized({ short: [300], long: [300, 600, 1_200] }))(
    'no acknowledged change is lost or made twice (after %i)',
    async (changes) => {
      const { lost, heads } = await killedAfter(changes);
      expect(lost).toEqual([]);
      for (const head of heads) {
        const numbers = [...head.matchAll(/\.(\d+);/g)].map(([, n]) => Number(n)).toReversed();
        expect(numbers).toEqual(numbers.map((_, n) => n));
      }
    },
  );

  test('control: changes that are acknowledged before their COMMIT are lost', async () => {
    const { lost } = await killedAfter(sized({ short: 300, long: 2_000 }), 'late-commit');
    expect(lost.length).toBeGreaterThan(0);
  });
});

/** Every one is damaged at other places. */
const FILES = sized({ short: 12, long: 30 });

test('flipped bits and a truncated file lead to errors or other bytes, never to a crash', async () => {
  const original = newPath();
  const store = await open(original);
  await putModel(store);
  const slots = new Map([[0, Buffer.alloc(900, 1)]]);
  let revision = '';
  for (let k = 0; k < 40; k++) {
    const first = await store.create(`s${k}`, { head: Buffer.alloc(400, k), slots }, k, MODEL_ID);
    if (k === 1) revision = first!;
  }
  await store.close();
  const random = pseudoRandom(11);
  const pick = (max: number) => Math.floor(((random() + 1) / 2) * max);
  const codes = new Map<string, number>();
  const tally = (code: string) => codes.set(code, (codes.get(code) ?? 0) + 1);
  for (let run = 0; run < FILES; run++) {
    const path = newPath();
    mkdirSync(join(path, '..'));
    copyFileSync(original, path);
    const bytes = readFileSync(path);
    // The header of a page holds its structure, in which SQLite detects damage.
    const page = pick(bytes.length / 4096) * 4096;
    for (let k = 0; k < 8; k++) bytes[page + pick(64)]! ^= 1 << pick(8);
    // Every fifth file is truncated instead.
    writeFileSync(path, run % 5 === 0 ? bytes.subarray(0, 1 + pick(bytes.length)) : bytes);
    const damaged = await open(path).catch((error: Error) => {
      expect(error.message).not.toContain('\n');
      tally('refused');
    });
    if (!damaged) continue;
    const calls = Array.from({ length: 40 }, (_, k) => damaged.read(`s${k}`) as Promise<unknown>);
    calls.push(damaged.list(undefined, 100), damaged.due(1e12, 100), create(damaged, 'new'));
    calls.push(damaged.change('s1', revision, parts('next')), damaged.count());
    calls.push(damaged.models.ids(), damaged.models.names());
    for (const call of calls) tally(await outcomeOf(call));
    await damaged.close();
  }
  const allowed = [
    'refused',
    'ok',
    'conflict',
    'store_unavailable no',
    'store_unavailable unknown',
    'model_not_found no',
  ];
  expect([...codes.keys()].filter((code) => !allowed.includes(code))).toEqual([]);
  expect(codes.get('store_unavailable no')).toBeGreaterThan(FILES / 3);
});
