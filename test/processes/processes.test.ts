// Several processes on one port: both serve, their sessions, models and metrics are those of one service, and what happens to
// one of them costs its connections and nothing else.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { SteadyLoad } from '../docker/steady-load.ts';
import { sized, testLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { until } from '../helpers/process.ts';
import { readMetrics, sumOf } from '../helpers/prometheus.ts';
import { type RedisServer, startRedis } from '../helpers/redis.ts';
import { type Service, callAlone, isRunning, startService } from './service.ts';

const KILLS = sized({ short: 1, long: 10 });
/** Where many processes start, Redis may not have its turn for a second. */
const PATIENT = { STORE_TIMEOUT_MS: '60000', JOB_DEADLINE_MS: '60000', REQUEST_TIMEOUT_MS: '60000' };
const WEIGHTS = { W_x: [[0.5, 0.1]], W_h: [[0.8, 0.1], [0.1, 0.8]] };

describeWith('redis-server', 'two processes on one port', () => {
  let redis: RedisServer;
  let service: Service;

  beforeAll(async () => {
    redis = await startRedis();
    service = await startService({ STORE_URL: redis.url, DRAIN_DELAY_MS: '100', ...PATIENT });
  });
  afterAll(async () => {
    await service?.stop();
    await redis?.stop();
  });

  const call = (path: string, body?: unknown, headers: Record<string, string> = {}) => callAlone(service.url + path, body, headers);
  /** How many requests for a route each process has logged. */
  const requestsByPid = (route: string) => {
    const pids = service.lines('request').filter((line) => line.route === route).map(({ pid }) => pid as number);
    return new Map(Array.from(new Set(pids), (pid) => [pid, pids.filter((other) => other === pid).length]));
  };
  const servingPids = () => service.pids().filter(isRunning);
  const restarts = async () => sumOf(await service.scrape(), METRICS.processRestarts.name);
  const untilRestarts = (count: number) => until(service, async () => ((await restarts()) >= count ? true : undefined));
  const untilBothServe = () =>
    until(service, async () => (sumOf(await service.scrape(), METRICS.processes.name) === 2 ? true : undefined));

  test('the greeting is printed once and says how many there are; every line of the log says whose it is', () => {
    expect(service.output().match(/Compute {2}2 processes with 1 worker each/g)).toHaveLength(1);
    expect(service.output().match(/Carryover \d/g)).toHaveLength(1);
    expect(service.lines('no API keys: every program on this machine can use, change and delete all models and sessions (API_KEYS_FILE)')).toHaveLength(1);
    const pids = service.pids();
    expect(new Set(pids).size).toBe(2);
    expect(pids).not.toContain(service.process.pid);
  });

  test('connections go to them in turn; a model registered in one is used by its id in the other at once', async () => {
    for (let k = 0; k < 8; k++) {
      const weights = { ...WEIGHTS, W_x: [[0.5, k / 10]] };
      const { status, body } = await call('/v1/models', { weights });
      expect(status).toBe(201);
      const steps = [await call('/v1/step', { model: body.id, x: [[1]] }), await call('/v1/step', { weights, x: [[1]] })];
      expect(steps.map((step) => step.status)).toEqual([200, 200]);
      expect(steps[0]!.body).toEqual(steps[1]!.body);
    }
    await until(service, () => (service.lines('request').length >= 24 ? true : undefined));
    for (const route of ['/v1/models', '/v1/step']) {
      const counts = [...requestsByPid(route).values()];
      expect(counts).toHaveLength(2);
      expect(Math.min(...counts)).toBeGreaterThan(1);
    }
  });

  test('a name is known to both at once; that it was moved or deleted, within about a second', async () => {
    const ids: string[] = [];
    for (const W_x of [[[0.5, 0.7]], [[0.5, 0.9]]]) ids.push((await call('/v1/models', { weights: { ...WEIGHTS, W_x } })).body.id);
    const send = async (method: string, model?: string) => {
      const body = model === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model }) };
      return (await fetch(`${service.url}/v1/models/moved`, { method, ...body })).status;
    };
    expect(await send('PUT', ids[0])).toBe(200);
    const answers = () => Promise.all(Array.from({ length: 4 }, () => call('/v1/step', { model: 'moved', x: [[1]] })));
    expect((await answers()).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const moved = (await call('/v1/step', { model: ids[1], x: [[1]] })).body;
    expect(await send('PUT', ids[1])).toBe(200);
    await until(service, async () => ((await answers()).every(({ body }) => isDeepStrictEqual(body, moved)) ? true : undefined));
    expect(await send('DELETE')).toBe(204);
    await until(service, async () => ((await answers()).every(({ status }) => status === 404) ? true : undefined));
  });

  test('steps of a session that come to both in turn count once each, and so do repeated ones', async () => {
    const { id } = (await call('/v1/sessions', { weights: WEIGHTS })).body;
    const before = requestsByPid('/v1/step');
    for (let k = 1; k <= 20; k++) {
      const step = () => call('/v1/step', { session: id, x: [[k / 20]] }, { 'idempotency-key': `step-${k}` });
      const [first, again] = [await step(), await step()];
      expect([first.body.session.t, again.body.session.t]).toEqual([k, k]);
      expect(again.headers['idempotency-replayed']).toBe('true');
      expect(again.body).toEqual(first.body);
    }
    const x = Array.from({ length: 20 }, (_, k) => [[(k + 1) / 20]]);
    const { body } = await call('/v1/sequence', { weights: WEIGHTS, x, outputs: ['h'] });
    expect((await call(`/v1/sessions/${id}`)).body).toMatchObject({ t: 20, h: body.h });
    await until(service, () => {
      const counts = [...requestsByPid('/v1/step')].map(([pid, count]) => count - (before.get(pid) ?? 0));
      return counts.length === 2 && Math.min(...counts) >= 10 ? true : undefined;
    });
  });

  test('the metrics are those of both: each once, counts summed, what both see not', async () => {
    const before = await service.scrape();
    const created = sumOf(before, METRICS.sessionsCreated.name);
    const active = sumOf(before, METRICS.sessionsActive.name);
    const requests = (text: string) => sumOf(text, METRICS.requests.name, { route: '/v1/sessions', status: '2xx' });
    for (let k = 0; k < 10; k++) await call('/v1/sessions', { weights: WEIGHTS });
    const text = await until(service, async () => {
      const now = await service.scrape();
      return requests(now) - requests(before) === 10 ? now : undefined;
    });
    expect(sumOf(text, METRICS.sessionsCreated.name) - created).toBe(10);
    const seconds = { route: '/v1/sessions' };
    expect(sumOf(text, `${METRICS.requestSeconds.name}_count`, seconds)).toBe(requests(text));
    expect(sumOf(text, `${METRICS.requestSeconds.name}_bucket`, { ...seconds, le: '+Inf' })).toBe(requests(text));
    expect(sumOf(text, METRICS.processes.name)).toBe(2);
    expect(sumOf(text, METRICS.readyWorkers.name)).toBe(2);
    expect(sumOf(text, METRICS.memory.name, { kind: 'limit' })).toBe(2 * 2 ** 30);
    // In the store, which both count: not twice.
    await until(service, async () => (sumOf(await service.scrape(), METRICS.sessionsActive.name) === active + 10 ? true : undefined));
    const series = readMetrics(text).map(({ name, labels }) => JSON.stringify([name, labels]));
    expect(new Set(series).size).toBe(series.length);
    expect(text.match(/^# TYPE process_start_time_seconds gauge$/gm)).toHaveLength(1);
    expect(sumOf(text, 'process_start_time_seconds')).toBeLessThan(Date.now() / 1_000);
  });

  test('POST /backup is answered, once for all: Redis has its own means', async () => {
    const response = await fetch(`http://127.0.0.1:${service.metricsPort}/backup`, { method: 'POST' });
    expect([response.status, await response.json()]).toEqual([404, { code: 'backups_off', detail: expect.any(String) }]);
  });

  test(`${KILLS} times kill -9 under load: it is replaced, the whole stays ready, no step is lost, none counts twice, no sum falls`, { timeout: 60_000 + KILLS * 30_000 }, async () => {
    const load = new SteadyLoad(service.url, { models: 2, sessions: { key: 6 }, sockets: 4, losesConnections: true });
    await load.start();
    const notReady: unknown[] = [];
    let steps = 0;
    for (let k = 1; k <= KILLS; k++) {
      await sleep(300);
      const before = sumOf(await service.scrape(), METRICS.requests.name);
      process.kill(servingPids()[0]!, 'SIGKILL');
      for (let poll = 0; poll < 10; poll++) {
        // The connection may be one of those that are cut.
        const answer = await call('/health/ready').catch(() => undefined);
        if (answer && answer.status !== 200) notReady.push(answer.body);
      }
      const after = await service.scrape();
      expect(sumOf(after, METRICS.requests.name)).toBeGreaterThanOrEqual(before);
      await untilRestarts(k);
      await untilBothServe();
      steps = load.counts.sessionSteps;
    }
    await until(service, () => (load.counts.sessionSteps > steps + 50 ? true : undefined));
    await load.stop();
    // A control: what was not repeated has failed, so connections were cut; and nothing else happened to anybody.
    expect(load.failures.length).toBeGreaterThan(0);
    expect(load.failures.filter((failure) => !/fetch failed|terminated|socket|ECONN/.test(failure))).toEqual([]);
    expect(await load.check('key')).toEqual({ lost: 0, doubled: 0, wrong: [] });
    expect(notReady).toEqual([]);
    expect(service.lines('a process was lost and is replaced')).toMatchObject(
      Array.from({ length: KILLS }, () => ({ level: 50, signal: 'SIGKILL', process: expect.any(Number) })),
    );
  });

  testLong('a process that gets SIGTERM answers what it has begun and is replaced, and no request fails', async () => {
    const load = new SteadyLoad(service.url, { models: 2, sessions: { key: 2, none: 2 }, streams: 2, sockets: 2 });
    await load.start();
    await sleep(200);
    // One after the other: afterwards both are new.
    const pids = servingPids();
    expect(pids).toHaveLength(2);
    for (const pid of pids) {
      const before = await restarts();
      process.kill(pid, 'SIGTERM');
      await untilRestarts(before + 1);
      await untilBothServe();
      expect(isRunning(pid)).toBe(false);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(await load.check()).toEqual({ lost: 0, doubled: 0, wrong: [] });
    const ended = service.lines('a process has ended and is replaced');
    expect(ended).toMatchObject(pids.map((process) => ({ level: 30, process, code: 0 })));
  });

  test('a process that does not answer makes the whole not ready, until it does', async () => {
    const pid = servingPids()[0]!;
    process.kill(pid, 'SIGSTOP');
    // A connection that the stopped one was given is answered by nobody.
    const ready = () => callAlone(`${service.url}/health/ready`, undefined, {}, 500).catch(() => undefined);
    const untilStatus = (status: number) =>
      until(service, async () => {
        const answer = await ready();
        return answer?.status === status ? answer : undefined;
      });
    const { body } = await untilStatus(503);
    expect(body).toMatchObject({ status: 'unavailable', reasons: ['one of the processes does not answer'] });
    // Its gauges are missing, what it has counted is not.
    expect(sumOf(await service.scrape(), METRICS.processes.name)).toBe(1);
    process.kill(pid, 'SIGCONT');
    await untilStatus(200);
  });

  test('SIGHUP reaches both', async () => {
    process.kill(service.process.pid!, 'SIGHUP');
    const lines = await until(service, () => {
      const found = service.lines('nothing to read again: there is no certificate (TLS_CERT_FILE)');
      return found.length >= 2 ? found : undefined;
    });
    expect(new Set(lines.map(({ pid }) => pid as number))).toEqual(new Set(servingPids()));
  });

  // The last one: it ends the service.
  test('SIGTERM ends all of them when they have answered, and the exit code is 0', async () => {
    const load = new SteadyLoad(service.url, { sessions: { key: 4 } });
    await load.start();
    await sleep(200);
    const pids = servingPids();
    expect(pids).toHaveLength(2);
    const running = Array.from({ length: 4 }, () => call('/v1/sequence', longSequence()));
    await sleep(100);
    expect(await service.stop(), service.output()).toBe(0);
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    void load.stop();
    expect(pids.filter(isRunning)).toEqual([]);
    await expect(service.scrape()).rejects.toThrow();
  });
});

/** Some tenths of a second of work, and few numbers in the answer. */
function longSequence() {
  const W_h = Array.from({ length: 64 }, (_, row) => Array.from({ length: 64 }, (__, column) => (row === column ? 0.5 : 0.01)));
  const x = Array.from({ length: 4_000 }, (_, t) => Array.from({ length: 8 }, () => [t / 4_000]));
  return { weights: { W_x: [Array.from({ length: 64 }, () => 0.1)], W_h }, x, outputs: ['h'] };
}

test('a connection that a killed process has not taken up is closed; control: Node.js alone leaves it open', () => {
  const run = (...args: string[]) => {
    const file = join(import.meta.dirname, '../fixtures/servers/unclaimed.ts');
    return spawnSync(process.execPath, [file, ...args], { encoding: 'utf8' }).stdout.trim();
  };
  expect(run()).toBe('closed');
  expect(run('without')).toBe('open');
});
