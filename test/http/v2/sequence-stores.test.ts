// Sequences outlive the process, and are the same for all processes on one store, whatever these do at the same time.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MemoryStore } from '../../../src/store/memory.ts';
import type { SessionStore } from '../../../src/store/store.ts';
import { type TestApp, buildApp } from '../../helpers/app.ts';
import { closeAtEnd } from '../../helpers/cleanup.ts';
import { describeLong, runs } from '../../helpers/long.ts';
import { describeWith } from '../../helpers/needs.ts';
import { startQuickly } from '../../helpers/process.ts';
import { startRedis } from '../../helpers/redis.ts';
import { fc } from '../../helpers/seed.ts';
import { SharedStore } from '../../sessions/setup.ts';
import { XS, expectedOf, register, step } from './sequence-steps.ts';

test('sequences go on after a restart', async () => {
  const store: SessionStore = new MemoryStore(1e8);
  const before = await buildApp({}, { store });
  await register(before);
  const expected = await expectedOf(before);
  await step(before, { x: XS[0]!, start: true });
  const after = await buildApp({}, { store });
  expect((await step(after, { x: XS[1]! })).y).toEqual(expected.slice(1, 2));
});

/** Two processes that share a store take turns with sequences, and start them at the same time. */
async function expectShared(a: TestApp, b: TestApp) {
  await register(a);
  const expected = await expectedOf(a);
  for (let round = 0; round < 3; round++) {
    const ys: number[] = [];
    for (const [t, x] of XS.entries()) {
      const app = (t + round) % 2 === 0 ? a : b;
      ys.push(...(await step(app, { x, start: t === 0, end: t === XS.length - 1 && round > 0 })).y);
    }
    expect(ys, `round ${round}`).toEqual(expected);
  }
  const starts = await Promise.all(XS.map((x, k) => step(k % 2 === 0 ? a : b, { id: 'both', x, start: true })));
  expect(starts.map(({ status }) => status)).toEqual(XS.map(() => 200));
}

test('processes on one store have the same sequences, whichever starts and ends them', async () => {
  const store = new SharedStore(1e8);
  await expectShared(await buildApp({}, { store }), await buildApp({}, { store }));
});

test('random requests to two processes behave as a plain list of steps for each id', async () => {
  const store = new SharedStore(1e8);
  const processes = [await buildApp({}, { store }), await buildApp({}, { store })] as const;
  await register(processes[0]);
  const command = fc.record({
    process: fc.constantFrom(0, 1),
    id: fc.constantFrom<number | string>(1, '1', 2),
    x: fc.constantFrom(...XS),
    start: fc.boolean(),
    end: fc.boolean(),
    isRefused: fc.nat(9).map((number) => number === 0),
  });
  let round = 0;
  const check = async (commands: (typeof command extends fc.Arbitrary<infer Command> ? Command : never)[]) => {
    round++;
    const steps = new Map<unknown, number[]>();
    for (const { process, id, x, start, end, isRefused } of commands) {
      const xs = start ? [x] : steps.get(id)?.concat(x);
      const output = isRefused ? { states: [{ name: 'z', shape: [1], datatype: 'FP32', data: [1] }] } : {};
      const ownId = 1_000 * round + Number(id);
      const answer = await step(processes[process], { id: typeof id === 'string' ? String(ownId) : ownId, x, start, end, ...output });
      if (isRefused || !xs) {
        expect(answer.status).toBe(400);
        continue;
      }
      expect([answer.status, answer.y?.[0]]).toEqual([200, (await expectedOf(processes[0], xs)).at(-1)]);
      if (end) steps.delete(id);
      else steps.set(id, xs);
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(command, { maxLength: 12 }), check), { numRuns: runs(60) });
});

test('requests at the same time to two processes are computed, or say that the sequence has not started', async () => {
  const store = new SharedStore(1e8);
  const processes = [await buildApp({}, { store }), await buildApp({}, { store })] as const;
  await register(processes[0]);
  const calls = Array.from({ length: 60 }, (_, k) =>
    step(processes[k % 2]!, { id: k % 3, x: XS[k % 6]!, start: k % 5 === 0, end: k % 7 === 0 }),
  );
  for (const { status, error } of await Promise.all(calls)) {
    if (status !== 200) expect([status, error]).toEqual([400, expect.stringMatching(/must specify the START flag|need a sequence_id/)]);
  }
});

describeWith('redis-server', 'on Redis', () => {
  test('processes have the same sequences', async () => {
    const { url } = await startRedis();
    await expectShared(await buildApp({ STORE_URL: url }), await buildApp({ STORE_URL: url }));
  });
});

describeLong('kill -9', () => {
  test('a sequence goes on with the step behind the last one that was answered', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'carryover-sequences-'));
    closeAtEnd(() => rmSync(folder, { recursive: true }));
    const env = { STORE_URL: `sqlite:${join(folder, 'sequences.sqlite')}` };
    const ys: number[] = [];
    for (const [t, x] of XS.entries()) {
      const server = await startQuickly(env);
      const body = JSON.stringify({
        inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [x] }],
        outputs: [{ name: 'y' }],
        parameters: { sequence_id: 'killed', sequence_start: t === 0 },
      });
      const response = await fetch(`${server.url}/v2/models/sunspots/infer`, { method: 'POST', body });
      ys.push((await response.json()).outputs[0].data[0][0]);
      server.process.kill('SIGKILL');
      await server.stop();
    }
    const app = await buildApp();
    const { body } = await app.post('/v1/sequence', { model: 'sunspots', x: XS.map((x) => [[x]]) });
    expect(ys).toEqual(body.ys.flat(2));
  });
});
