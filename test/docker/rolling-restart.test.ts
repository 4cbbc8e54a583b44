// Two replicas on one Redis behind the gateway, restarted in turn under load: no client sees an error, no step is lost,
// none counts twice. The clock of one of them is an hour ahead of the other's.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Gateway, startGateway } from '../helpers/gateway.ts';
import { IS_LONG, describeLong, sized, testLong } from '../helpers/long.ts';
import { LIBFAKETIME, describeWith } from '../helpers/needs.ts';
import { type RunningServer, freePort, startQuickly, startServer } from '../helpers/process.ts';
import { type RedisServer, startRedis } from '../helpers/redis.ts';
import { openStream, readAll, readLines } from '../helpers/streams.ts';
import { type LoadOptions, SteadyLoad } from './steady-load.ts';

const RESTARTS = sized({ short: 2, long: 10 });
const KILLS = sized({ short: 1, long: 2 });
const KILLS_MAX = 10;
/** The short form's end as a server does, and start in half of the time (fixtures/servers/quick.ts). */
const startReplica: (settings: Record<string, string>) => Promise<RunningServer> = IS_LONG ? startServer : startQuickly;
/** docker/k8s has a longer one, which an orchestrator needs to notice; nginx does not. */
const DRAINING = { DRAIN_DELAY_MS: '100' };
const AN_HOUR_AHEAD = { LD_PRELOAD: LIBFAKETIME ?? '', FAKETIME: '+1h', DONT_FAKE_MONOTONIC: '1' };
const LOAD: LoadOptions = {
  models: 3,
  sessions: { key: 1, 'if-match': 1, 'key and if-match': 1, none: 1 },
  streams: sized({ short: 1, long: 2 }),
  sockets: 3,
  pauseMs: sized({ short: 80, long: 4 }),
};

describeWith(['redis-server', 'nginx', 'faketime'], 'two replicas behind the gateway', () => {
  let redis: RedisServer;
  let ports: [number, number];
  const replicas: RunningServer[] = [];
  let gateway: Gateway;

  const start = async (k: number) => {
    const own = { STORE_URL: redis.url, PORT: String(ports[k]), ...(k === 1 && AN_HOUR_AHEAD) };
    replicas[k] = await startReplica({ ...DRAINING, ...own });
  };

  beforeAll(async () => {
    redis = await startRedis();
    ports = [await freePort(), await freePort()];
    await Promise.all([start(0), start(1)]);
    gateway = await startGateway(ports);
  });

  afterAll(async () => {
    await gateway?.stop();
    await Promise.all(replicas.map((replica) => replica.stop()));
    await redis?.stop();
  });

  const timeout = 180_000 + RESTARTS * 20_000;
  test(`${RESTARTS} restarts in turn: no request fails, no step is lost or counts twice`, { timeout }, async () => {
    const load = new SteadyLoad(gateway.url, LOAD);
    await load.start();
    for (let k = 0; k < RESTARTS; k++) {
      const replica = replicas[k % 2]!;
      const stream = await openLongStream(replica.url);
      const stopped = replica.stop();
      await untilNotReady(replica.url);
      // It is in progress: most of it is computed when its reader goes on.
      expect(readLines((await readAll(stream)).text).at(-1)).toMatchObject({ done: true, t: LONG_T });
      expect(await stopped, replica.output()).toBe(0);
      await start(k % 2);
    }
    await load.stop();
    console.info(`${RESTARTS} restarts:`, load.counts);
    expect(load.failures, gateway.log()).toEqual([]);
    expect(await load.check()).toEqual({ lost: 0, doubled: 0, wrong: [] });
    const { reconnects, ...counts } = load.counts;
    expect(reconnects).toBeGreaterThan(0);
    expect(Math.min(counts.steps, counts.sessionSteps, counts.streams, counts.messages)).toBeGreaterThan(RESTARTS);
  });

  testLong('a session expires by the clock of the store, whatever that of a replica says', async () => {
    const clocks = await Promise.all(replicas.map(({ url }) => fetch(url)));
    const [first = 0, second = 0] = clocks.map(({ headers }) => Date.parse(headers.get('date')!));
    expect(second - first).toBeGreaterThan(3_500_000);

    const ttl_s = 2;
    const created = await Promise.all(
      replicas.map(({ url }) => call(`${url}/v1/sessions`, { model: 'sunspots', ttl_s })),
    );
    const ids = created.map(({ body }) => body.id as string);
    for (const { body } of created) expect(Date.parse(body.expires_at)).toBeLessThan(Date.now() + ttl_s * 1_000 + 500);
    // Longer than they live: at both replicas each step makes them live on.
    let lastMs = 0;
    for (let k = 0; k < 6; k++) {
      lastMs = performance.now();
      const steps = ids.flatMap((session) =>
        replicas.map(({ url }) => call(`${url}/v1/step`, { session, x: [[0.5]] })),
      );
      expect((await Promise.all(steps)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      await sleep(500);
    }
    const reads = () => ids.flatMap((id) => replicas.map(({ url }) => call(`${url}/v1/sessions/${id}`)));
    for (;;) {
      const statuses = (await Promise.all(reads())).map(({ status }) => status);
      if (statuses.every((status) => status === 410)) break;
      await sleep(50);
    }
    expect(performance.now() - lastMs).toBeGreaterThan(ttl_s * 1_000 - 1);
    expect(performance.now() - lastMs).toBeLessThan(ttl_s * 1_000 + 5_000);
  });

  // The last one: it kills the replicas.
  testLong('a replica that is killed: calls with a key do not fail and count once', async () => {
    const load = new SteadyLoad(gateway.url, { sessions: { key: 4, none: 8 }, sockets: 2, losesConnections: true });
    await load.start();
    // Until one was killed while it computed what the gateway must not repeat.
    for (let kill = 0; kill < KILLS || (kill < KILLS_MAX && load.failures.length === 0); kill++) {
      await sleep(300);
      const k = kill % 2;
      replicas[k]!.process.kill('SIGKILL');
      await replicas[k]!.stop();
      await start(k);
    }
    await load.stop();
    const ofKeys = load.failures.filter((failure) => !failure.includes('(none)'));
    expect(ofKeys).toEqual([]);
    expect(await load.check('key')).toEqual({ lost: 0, doubled: 0, wrong: [] });
    // The control: what the gateway must not repeat has failed.
    expect(load.failures.length).toBeGreaterThan(0);
  });
});

// In the short form the test of a kill has a control: what the gateway must not repeat has failed.
describeLong('controls of restarts in turn', () => {
  const RESTARTS_MAX = 10;

  /** Ends when a request fails. @returns the failures */
  const restartInTurn = async (settings: Record<string, string>, change?: (configuration: string) => string) => {
    const ports = [await freePort(), await freePort()];
    const start = (k: number) => startQuickly({ ...settings, PORT: String(ports[k]) });
    const replicas = await Promise.all([start(0), start(1)]);
    const gateway = await startGateway(ports, change);
    const load = new SteadyLoad(gateway.url, { models: 8 });
    await load.start();
    for (let k = 0; k < RESTARTS_MAX && load.failures.length === 0; k++) {
      await replicas[k % 2]!.stop();
      replicas[k % 2] = await start(k % 2);
    }
    await load.stop();
    await gateway.stop();
    await Promise.all(replicas.map((replica) => replica.stop()));
    return load.failures;
  };

  test('control: a service that does not drain answers 503, or closes a connection on which a request arrives', async () => {
    expect(await restartInTurn({ DRAIN_DELAY_MS: '0' })).not.toEqual([]);
  });

  test('control: a gateway that asks one replica alone answers 502', async () => {
    const failures = await restartInTurn(DRAINING, (configuration) =>
      configuration.replace('proxy_next_upstream error timeout;', 'proxy_next_upstream off;'),
    );
    expect(failures.join()).toContain('502');
  });
});

/** Its text is larger than what sockets and gateways hold. */
const LONG_T = 60_000;

async function openLongStream(url: string) {
  const x = Array.from({ length: LONG_T }, () => [[0.5]]);
  return openStream(`${url}/v1/sequence`, { model: 'sunspots', x, outputs: ['hs'] });
}

async function untilNotReady(url: string): Promise<void> {
  while ((await fetch(`${url}/health/ready`)).status !== 503) await sleep(2);
}

async function call(url: string, body?: unknown): Promise<{ status: number; body: any }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}
