// The metrics of several processes as one: what is summed, what is not, and what is left of processes that have ended.
import { expect, test } from 'vitest';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { ServiceMetrics } from '../../src/metrics/service-metrics.ts';
import { type MeasuredProcess, WholeMetrics } from '../../src/metrics/whole-metrics.ts';
import { readMetrics, sumOf } from '../helpers/prometheus.ts';

/** A process with this many streams, of which this many operations of the store took a second. */
async function measuredProcess({ streams, commits, sessions = 0 }: { streams: number; commits: number; sessions?: number }, isFresh = true): Promise<MeasuredProcess> {
  const metrics = new ServiceMetrics();
  metrics.watch({
    http: { connections: 0, streams, sockets: 0, bodiesBytes: 0, bodiesBytesMax: 0 },
    scheduler: { waitingCount: 0, shared: { counts: { steps: 0, batches: 0 } } },
    pool: { readyCount: 0, idleCount: 0, lostCount: 0 },
    memory: { bytesUsed: 0, bytesGrown: 0, bytesMax: 0 },
    registry: { count: 7, bytes: 10 },
    weightsCache: { bytes: 0 },
    store: { count: async () => sessions },
  });
  for (let k = 0; k < commits; k++) metrics.onStoreCall('change', 1_000, undefined);
  return { snapshot: await metrics.snapshot(), isFresh };
}

const noBackup = async () => ({ status: 404, body: {} });
const storeCalls = `${METRICS.storeSeconds.name}_count`;
const change = { operation: 'change' };

test('counters, histograms and most gauges are summed; of what all processes see the largest is taken', async () => {
  const all = [await measuredProcess({ streams: 2, commits: 3, sessions: 50 }), await measuredProcess({ streams: 4, commits: 5, sessions: 51 })];
  const whole = new WholeMetrics({ restarts: 6, measure: async () => {}, measured: () => all }, noBackup);
  const text = await whole.print();
  expect(sumOf(text, storeCalls, change)).toBe(8);
  expect(sumOf(text, `${METRICS.storeSeconds.name}_sum`, change)).toBe(8);
  expect(sumOf(text, `${METRICS.storeSeconds.name}_bucket`, { ...change, le: '1' })).toBe(8);
  expect(sumOf(text, METRICS.streams.name)).toBe(6);
  expect(sumOf(text, METRICS.modelBytes.name, { kind: 'registered' })).toBe(20);
  expect(sumOf(text, METRICS.models.name)).toBe(7);
  expect(sumOf(text, METRICS.sessionsActive.name)).toBe(51);
  expect(sumOf(text, METRICS.processes.name)).toBe(2);
  expect(sumOf(text, METRICS.processRestarts.name)).toBe(6);
  // Of this process, three times.
  const [own] = readMetrics(text).filter(({ name }) => name === 'process_resident_memory_bytes');
  expect(own!.value).toBeGreaterThan(2.5 * process.memoryUsage.rss() * 0.8);
});

test('what an ended process has counted stays, its gauges do not; so it is with one that does not answer', async () => {
  let all = [await measuredProcess({ streams: 2, commits: 3 }), await measuredProcess({ streams: 4, commits: 5 })];
  const whole = new WholeMetrics({ restarts: 0, measure: async () => {}, measured: () => all }, noBackup);
  for (const replacement of [{ streams: 1, commits: 0 }, { streams: 1, commits: 10 }]) {
    const [ended, other] = all;
    whole.addEnded(ended!.snapshot);
    all = [other!, await measuredProcess(replacement)];
  }
  // 3 and 5 of those that have ended, 0 and 10 of those that have not.
  let text = await whole.print();
  expect(sumOf(text, storeCalls, change)).toBe(18);
  expect(sumOf(text, METRICS.streams.name)).toBe(2);
  all = [{ ...all[0]!, isFresh: false }, all[1]!];
  text = await whole.print();
  expect(sumOf(text, storeCalls, change)).toBe(18);
  expect(sumOf(text, METRICS.streams.name)).toBe(1);
});

test('a process that ends while the others are asked is counted once', async () => {
  const [ended, other] = [await measuredProcess({ streams: 0, commits: 3 }), await measuredProcess({ streams: 0, commits: 5 })];
  let all = [ended, other];
  const measure = async () => {
    all = [other];
    whole.addEnded(ended.snapshot);
  };
  const whole = new WholeMetrics({ restarts: 0, measure, measured: () => all }, noBackup);
  expect(sumOf(await whole.print(), storeCalls, change)).toBe(8);
});
