// The service under traffic, killed with SIGKILL and started again many times.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type FaultProxy, startFaultProxy } from '../helpers/fault-proxy.ts';
import { type RunningProcess, freePort, spawnServer, startQuickly } from '../helpers/process.ts';

export interface CrashOptions {
  readonly storeUrl: string;
  readonly kills: number;
  readonly seed: number;
  /** Most changes that are acknowledged from a start until the next kill. */
  readonly betweenMax: number;
  /** What happens to the answer of each request; 'delay' if absent. */
  readonly choose?: FaultProxy['choose'];
}

/** Clients that repeat each call until it is answered. */
export interface KilledTraffic<Report> {
  /** @param port of the service itself */
  createSessions(port: number): Promise<void>;
  start(): void;
  /** Changes that were acknowledged so far. */
  readonly acknowledged: number;
  /** Whether all clients have ended. */
  readonly isOver: boolean;
  /** Ends the clients, each after its present calls were answered. @throws the error of a client */
  stop(): Promise<void>;
  /** Compares the sessions with what was acknowledged. */
  check(port: number): Promise<Report>;
}

export interface Kills {
  readonly kills: number;
  /** Kills before the process was ready: while it opened the store or had just opened it. */
  readonly killsAtStart: number;
  /** From the start of the new process until /health/ready is 200. */
  readonly readyMs: readonly number[];
}

/**
 * Every answer is that late. So a kill finds many calls whose change is stored and whose answer is not received: of
 * its own accord such a moment is short.
 */
const ANSWER_DELAY_MS = 20;
/** Pause of a client before it repeats a call: short beside a start of the service, most of which is spent waiting. */
export const PAUSE_MS = 200;
/** Longest run of a process that is killed before it is ready. */
const STARTING_MS_MAX = 1_000;
const KILLS_AT_START = 0.3;
/** Changes that are acknowledged after the last kill: with fewer, a short run may have no call of the rarer kinds. */
const AFTERWARDS = 200;

/** @param trafficTo the clients, which call a port that leads to the service */
export async function runWithCrashes<Report>(
  { storeUrl, kills, seed, betweenMax, choose = () => 'delay' }: CrashOptions,
  trafficTo: (port: number) => KilledTraffic<Report>,
): Promise<Report & Kills> {
  const port = await freePort();
  const env = { PORT: String(port), STORE_URL: storeUrl, WORKERS: '1' };
  const random = pseudoRandom(seed);
  const chance = () => (random() + 1) / 2;
  let server = await startQuickly(env);
  const proxy = await startFaultProxy(port);
  proxy.delayMs = ANSWER_DELAY_MS;
  const traffic = trafficTo(proxy.port);
  await traffic.createSessions(port);
  proxy.choose = choose;
  traffic.start();
  const readyMs: number[] = [];
  let killsAtStart = 0;
  for (let kill = 0; kill < kills; kill++) {
    await waitForAnswers(traffic, 1 + chance() * betweenMax);
    await killHard(server);
    for (; kill + 1 < kills && chance() < KILLS_AT_START; kill++, killsAtStart++) {
      const starting = spawnServer(env);
      await sleep(chance() * STARTING_MS_MAX);
      await killHard(starting);
    }
    const startedMs = performance.now();
    server = await startQuickly(env);
    readyMs.push(performance.now() - startedMs);
  }
  await waitForAnswers(traffic, AFTERWARDS);
  await traffic.stop();
  const report = await traffic.check(port);
  await proxy.close();
  await server.stop();
  return { ...report, kills, killsAtStart, readyMs };
}

/** Waits for more acknowledged changes, unless the traffic has ended. */
export async function waitForAnswers(traffic: Pick<KilledTraffic<unknown>, 'acknowledged' | 'isOver'>, count = 1): Promise<void> {
  const enough = traffic.acknowledged + Math.floor(count);
  while (traffic.acknowledged < enough && !traffic.isOver) await sleep(2);
}

async function killHard({ process: child }: RunningProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
