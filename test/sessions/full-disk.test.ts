// A full disk as a client sees it: changes are refused with 507 and applied "no", the process stays alive and
// reports that it is not ready, deletions still succeed, and calls succeed again when there is space, a repeat
// of the refused call included. (The store alone, and errors of system calls: test/store/sqlite/disk.test.ts.)
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { testLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { startQuickly } from '../helpers/process.ts';
import { fillDisk, useSmallDisk } from '../helpers/small-disk.ts';

/** With H = 32, 32 KiB of state are kept with every key: the disk is soon full. */
const N = 256;
const RESUME_MS_MAX = 20_000;

describeWith('mount', 'a full disk', () => {
  const disk = useSmallDisk();
  afterEach(() => {
    for (const name of readdirSync(disk)) rmSync(join(disk, name));
  });

  // In the short form store/sqlite/disk.test.ts fills a disk by changes.
  testLong('a step is answered with 507, and steps succeed again when there is space', async () => {
    const filler = join(disk, 'filler');
    writeFileSync(filler, Buffer.alloc(14 * 2 ** 20));
    const { server, call, create, step } = await startProcess();

    const first = await create();
    let acknowledged = 0;
    let refused = await step(first, acknowledged);
    for (; refused.status === 200; acknowledged++) {
      refused = await step(first, acknowledged + 1);
      // A session keeps no more than its last 64: others make the disk full.
      if (acknowledged % 4 === 0) {
        const id = await create();
        for (let t = 0; t < 64; t++) if ((await step(id, t)).status !== 200) break;
      }
    }
    expect(refused).toMatchObject({ status: 507, body: { code: 'store_full', applied: 'no' } });

    // The process is alive and not ready, and what was acknowledged can be read.
    expect((await call('GET', '/health/live')).status).toBe(200);
    const ready = await call('GET', '/health/ready');
    expect([ready.status, JSON.stringify(ready.body)]).toEqual([503, expect.stringContaining('full')]);
    const read = await call('GET', `/v1/sessions/${first}`);
    expect([read.status, read.body.t]).toEqual([200, acknowledged]);

    rmSync(filler);
    expect(await stepUntilDone(step, first, acknowledged)).toBe(acknowledged + 1);
    expect(await server.stop()).toBe(0);
  });

  test('sessions and models can be deleted on a full disk, and steps succeed afterwards', () => deleteAll(true));

  test('control: without the reserve nothing can be deleted on a full disk', () => deleteAll(false));

  async function deleteAll(hasReserve: boolean): Promise<void> {
    const first = await startApp();
    const kept = await first.create();
    const ids = await Promise.all(Array.from({ length: 70 }, first.create));
    const model = { weights: { W_x: [[1]], W_h: [[0.5]], b: [0] } };
    const registered = await first.call('POST', '/v1/models', model);
    expect(registered.status).toBe(201);
    // A closed store leaves an empty WAL, without pages that can be reused.
    await first.app.close();

    const { app, call, create, step } = await startApp();
    // 1 MiB in the WAL only: the file must grow before the WAL can be restarted.
    ids.push(...(await Promise.all(Array.from({ length: 30 }, create))));
    if (!hasReserve) rmSync(join(disk, 'carryover.sqlite-reserve'));
    const filler = fillDisk(disk);
    // Uses up what is left of the last page of the disk.
    let t = 0;
    while (t < 16 && (await step(kept, t)).status === 200) t++;
    expect(t).toBeLessThan(16);

    const statuses: number[] = [];
    for (const id of ids) statuses.push((await call('DELETE', `/v1/sessions/${id}`)).status);
    statuses.push((await call('DELETE', `/v1/models/${registered.body.id}`)).status);
    if (!hasReserve) rmSync(filler);
    const after = await stepUntilDone(step, kept, t);
    await app.close();
    expect(new Set(statuses)).toEqual(new Set([hasReserve ? 204 : 507]));
    expect(after).toBe(t + 1);
  }

  const env = { STORE_URL: `sqlite:${join(disk, 'carryover.sqlite')}` };

  /** A process of its own. */
  async function startProcess() {
    const server = await startQuickly(env);
    const callsOf = callsBy(async ({ method, path, headers, body }) => {
      const response = await fetch(server.url + path, { method, headers, ...(body !== undefined && { body }) });
      return { status: response.status, text: await response.text() };
    });
    return { server, ...callsOf };
  }

  /** In this process. */
  async function startApp() {
    const app = await buildApp(env);
    const callsOf = callsBy(async ({ method, path, headers, body }) => {
      const response = await app.http.inject({ method, url: path, headers, ...(body !== undefined && { payload: body }) });
      return { status: response.statusCode, text: response.body };
    });
    return { app, ...callsOf };
  }
});

interface Sent {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string | undefined;
}

function callsBy(send: (sent: Sent) => Promise<{ status: number; text: string }>) {
  const call = async (method: Sent['method'], path: string, body?: object, key?: string) => {
    const headers = {
      ...(body && { 'content-type': 'application/json' }),
      ...(key !== undefined && { 'idempotency-key': key }),
    };
    const { status, text } = await send({ method, path, headers, body: body && JSON.stringify(body) });
    return { status, body: JSON.parse(text || '{}') as Record<string, any> };
  };
  const create = async () => {
    const { body } = await call('POST', '/v1/sessions', { model: 'sunspots', N, keep: 64 });
    return body.id as string;
  };
  const step = (id: string, t: number) => {
    const x = Array.from({ length: N }, (_, n) => [(n + t) / 100]);
    return call('POST', '/v1/step', { session: id, x }, `step-${t}`);
  };
  return { call, create, step };
}

type Step = (id: string, t: number) => Promise<{ status: number; body: Record<string, any> }>;

/** @returns the t of the session, or the last refusal */
async function stepUntilDone(step: Step, id: string, t: number): Promise<unknown> {
  const start = performance.now();
  for (;;) {
    const { status, body } = await step(id, t);
    if (status === 200) return body.session.t;
    if (performance.now() - start > RESUME_MS_MAX) return body;
    await sleep(50);
  }
}
