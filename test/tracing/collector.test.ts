// Collectors that are absent, slow or broken, and a thread that ends, cost spans, and nothing else: no request, no memory
// beyond a bound, two lines of the log.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/logging.ts';
import { RequestRecord } from '../../src/request-record.ts';
import { RequestTrace } from '../../src/request-trace.ts';
import { ExportClient } from '../../src/tracing/export-client.ts';
import { buildApp } from '../helpers/app.ts';
import { closeAtEnd } from '../helpers/cleanup.ts';
import { startOtlpReceiver } from '../helpers/otlp-receiver.ts';
import { freePort } from '../helpers/process.ts';
import { eventually } from '../helpers/raw-client.ts';

const WAIT_MS = 15_000;
const STEP = { weights: { W_x: [[0.5]], W_h: [[0.8]] }, x: [[1]] };

async function service(endpoint: string) {
  const lines: string[] = [];
  const app = await buildApp(
    { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: '10' },
    { logger: createLogger('warn', { write: (line) => void lines.push(line) }) },
  );
  const stepsAreAnswered = async (count: number) => {
    const statuses = await Promise.all(Array.from({ length: count }, async () => (await app.post('/v1/step', STEP)).status));
    expect(new Set(statuses)).toEqual(new Set([200]));
  };
  return { app, lines, stepsAreAnswered };
}

describe('a collector', () => {
  test('that refuses everything is named in the log once, however many batches are lost', async () => {
    const collector = await startOtlpReceiver();
    // No status after which the exporter tries again.
    collector.status = 400;
    const { lines, stepsAreAnswered } = await service(collector.url);
    for (let batches = 1; batches <= 3; batches++) {
      await stepsAreAnswered(20);
      await eventually(() => collector.requests >= batches, WAIT_MS);
    }
    await eventually(() => lines.length > 0, WAIT_MS);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 40, msg: 'traces are not exported', reason: 'Bad Request' });
    collector.status = 200;
    await stepsAreAnswered(1);
    await eventually(() => collector.spans.length > 0, WAIT_MS);
    collector.status = 400;
    const before = collector.requests;
    await stepsAreAnswered(1);
    await eventually(() => collector.requests > before && lines.length === 2, WAIT_MS);
  });

  test('that does not answer delays neither requests nor, by more than two seconds, the end', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    closeAtEnd(() => silent.close());
    await once(silent, 'listening');
    const { app, stepsAreAnswered } = await service(`http://127.0.0.1:${(silent.address() as { port: number }).port}`);
    await stepsAreAnswered(50);
    const startMs = performance.now();
    await app.close();
    expect(performance.now() - startMs).toBeLessThan(4_000);
  });

  test.each([
    [100, 'holds no more spans than the queue, and gets these when it is there'],
    [20_000, 'gets all of them from a longer queue: the control'],
  ])('that is absent, %s: %s', async (queueMax) => {
    const port = await freePort();
    const { exporting, add, lost, spans } = exportTo(`http://127.0.0.1:${port}`, queueMax);
    const count = 10_000;
    add(count);
    const collector = await startOtlpReceiver(port);
    // The exporter tries again after about a second.
    await eventually(() => collector.spans.length > 0 && spans.exported + spans.dropped === count, WAIT_MS);
    add(1);
    await exporting.close();
    expect(collector.spans.length).toBe(spans.exported);
    expect(spans).toMatchObject({ failed: 0, exported: Math.min(count, queueMax) + 1 });
    expect(lost).toEqual([]);
  });
});

test('a thread that ends is started again; its spans are lost, and counted', async () => {
  const collector = await startOtlpReceiver();
  const folder = mkdtempSync(join(tmpdir(), 'carryover-thread-'));
  closeAtEnd(() => rmSync(folder, { recursive: true }));
  const thread = new URL('../../src/tracing/export-thread/thread.ts', import.meta.url);
  const entry = join(folder, 'thread.mjs');
  writeFileSync(
    entry,
    `import { existsSync, writeFileSync } from 'node:fs';
     import { parentPort } from 'node:worker_threads';
     const mark = ${JSON.stringify(join(folder, 'has-failed'))};
     if (existsSync(mark)) await import(${JSON.stringify(thread)});
     else parentPort.once('message', () => {
       writeFileSync(mark, '');
       throw new Error('broken');
     });`,
  );
  const { exporting, add, lost, spans, restored } = exportTo(collector.url, 100, pathToFileURL(entry));
  add(10);
  await eventually(() => spans.failed === 10, WAIT_MS);
  add(5);
  expect(spans).toEqual({ exported: 0, failed: 10, dropped: 5 });
  let added = 0;
  await eventually(() => {
    add(1);
    added++;
    return spans.exported > 0;
  }, WAIT_MS);
  await exporting.close();
  expect(lost).toEqual(['broken']);
  expect(restored()).toBe(1);
  expect(spans).toEqual({ exported: collector.spans.length, failed: 10, dropped: 5 + added - collector.spans.length });
});

/** A client of the thread that exports; `add` adds traces of one span each, and `spans` has what became of them. */
function exportTo(endpoint: string, queueMax: number, entry?: URL) {
  const lost: string[] = [];
  let restored = 0;
  const spans = { exported: 0, failed: 0, dropped: 0 };
  const exporting = new ExportClient({
    endpoint,
    version: '1',
    delayMs: 10,
    queueMax,
    onLost: (reason) => lost.push(reason),
    onRestored: () => restored++,
    onSpans: (outcome, count) => (spans[outcome] += count),
    entry,
  });
  const add = (count: number) => {
    for (let i = 0; i < count; i++) {
      const trace = new RequestTrace({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), flags: 1 }, true);
      exporting.add(1, (batch) => batch.addMessage(trace, new RequestRecord()));
    }
  };
  return { exporting, add, lost, spans, restored: () => restored };
}
