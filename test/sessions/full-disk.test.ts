// A disk that is full, seen by a client: 507 that says truly that nothing was applied, a process that
// lives and says it is not ready, and service again when there is space, the same call by the same key
// included. (The store alone, and errors of system calls: test/store/sqlite-disk.test.ts.)
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { describeWith } from '../helpers/needs.ts';
import { startServer } from '../helpers/process.ts';
import { useSmallDisk } from '../helpers/small-disk.ts';

/** With H = 32, 8 KiB of state are kept with every key: the disk is soon full. */
const N = 64;
const RESUME_MS_MAX = 5_000;

describeWith('mount', 'a full disk', () => {
  const disk = useSmallDisk();

  test('is an answer, and passes', async () => {
    const filler = join(disk, 'filler');
    writeFileSync(filler, Buffer.alloc(6 * 2 ** 20));
    const server = await startServer({ STORE_URL: `sqlite:${join(disk, 'carryover.sqlite')}` });
    const call = async (method: string, path: string, body?: object, key?: string) => {
      const answer = await fetch(server.url + path, {
        method,
        headers: {
          ...(body && { 'content-type': 'application/json' }),
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
      return { status: answer.status, body: (await answer.json()) as Record<string, any> };
    };
    const create = () => call('POST', '/v1/sessions', { model: 'sunspots', N, keep: 64 });
    const step = (id: string, t: number) => {
      const x = Array.from({ length: N }, (_, n) => [(n + t) / 100]);
      return call('POST', '/v1/step', { session: id, x }, `step-${t}`);
    };

    const first = (await create()).body.id as string;
    let acknowledged = 0;
    let refused = await step(first, acknowledged);
    for (; refused.status === 200; acknowledged++) {
      refused = await step(first, acknowledged + 1);
      // A session keeps no more than its last 64: others make the disk full.
      if (acknowledged % 16 === 0) {
        const { body } = await create();
        for (let t = 0; t < 64 && body.id; t++) if ((await step(body.id, t)).status !== 200) break;
      }
    }
    expect(refused).toMatchObject({ status: 507, body: { code: 'store_full', applied: 'no' } });

    // Alive, truthful about it, and what was acknowledged can be read.
    expect((await call('GET', '/health/live')).status).toBe(200);
    const ready = await call('GET', '/health/ready');
    expect([ready.status, JSON.stringify(ready.body)]).toEqual([503, expect.stringContaining('full')]);
    const read = await call('GET', `/v1/sessions/${first}`);
    expect([read.status, read.body.t]).toEqual([200, acknowledged]);

    rmSync(filler);
    const start = performance.now();
    let resumed = await step(first, acknowledged);
    while (resumed.status !== 200 && performance.now() - start < RESUME_MS_MAX) {
      await sleep(50);
      resumed = await step(first, acknowledged);
    }
    expect([resumed.status, resumed.body.session?.t]).toEqual([200, acknowledged + 1]);
    expect(await server.stop()).toBe(0);
  });
});
