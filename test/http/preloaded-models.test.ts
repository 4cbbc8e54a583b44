// The preloaded models are served as long as the server runs, also when Redis has lost them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { describeWith } from '../helpers/needs.ts';
import { type RedisServer, startRedis } from '../helpers/redis.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-preloaded-models-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeWith('redis-server', 'models of a server on Redis', () => {
  let redis: RedisServer;
  let apps: TestApp[];
  beforeAll(async () => {
    const file = writeSafetensors({
      W_x: { shape: [1, 1], data: Float32Array.of(0.5) },
      W_h: { shape: [1, 1], data: Float32Array.of(0.5) },
    });
    writeFileSync(join(folder, 'mine.safetensors'), file);
    redis = await startRedis();
    const environment = { STORE_URL: redis.url, MODELS_DIR: folder };
    apps = [await buildApp(environment), await buildApp(environment)];
  });

  const canUse = async (app: TestApp, model: string) =>
    (await app.post('/v1/sessions', { model })).status === 201;
  /** How long until all can use it. */
  const untilUsable = async (model: string) => {
    const startMs = performance.now();
    for (const app of apps) while (!(await canUse(app, model))) await sleep(20);
    return performance.now() - startMs;
  };

  test('the models are available again soon after FLUSHALL, on all replicas', async () => {
    for (const model of ['sunspots', 'weather', 'mine']) await untilUsable(model);
    await redis.admin.flushall();
    for (const model of ['sunspots', 'weather', 'mine']) expect(await untilUsable(model)).toBeLessThan(4_000);
    expect((await apps[0]!.http.inject('/health/ready')).statusCode).toBe(200);
  });

  test('control: a model that was deleted through the API stays deleted', async () => {
    // A replica that has not noticed the FLUSHALL yet cannot distinguish lost models from deleted ones.
    await sleep(1_200);
    for (const { id } of (await apps[0]!.http.inject('/v1/sessions')).json().sessions) {
      await apps[0]!.http.inject({ method: 'DELETE', url: `/v1/sessions/${id}` });
    }
    const deleted = await apps[0]!.http.inject({ method: 'DELETE', url: '/v1/models/mine' });
    expect(deleted.statusCode).toBe(204);
    await sleep(2_200);
    for (const app of apps) expect(await canUse(app, 'mine')).toBe(false);
    for (const app of apps) expect(await canUse(app, 'sunspots')).toBe(true);
  });
});
