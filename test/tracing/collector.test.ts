// Collectors that are absent, slow or broken cost spans, and nothing else: no request, no memory beyond a bound, two lines
// of the log.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/logging.ts';
import { SpanExport } from '../../src/tracing/export.ts';
import { FinishedSpan } from '../../src/tracing/finished-span.ts';
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
    const lost: string[] = [];
    let restored = 0;
    const spans = new SpanExport({
      endpoint: `http://127.0.0.1:${port}`,
      version: '1',
      delayMs: 10,
      queueMax,
      onLost: ({ message }) => lost.push(message),
      onRestored: () => restored++,
    });
    const add = (count: number) => {
      for (let i = 0; i < count; i++) {
        const context = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
        spans.add(new FinishedSpan(spans.source, { context, name: 'test', startMs: 1, endMs: 2 }));
      }
    };
    const count = 10_000;
    add(count);
    const collector = await startOtlpReceiver(port);
    // The exporter tries again after about a second.
    await eventually(() => collector.spans.length > 0, WAIT_MS);
    add(1);
    await spans.close();
    if (queueMax > count) {
      expect(collector.spans.length).toBe(count + 1);
    } else {
      expect(collector.spans.length).toBeGreaterThan(queueMax / 2);
      // One batch is being sent, and the queue is full.
      expect(collector.spans.length).toBeLessThanOrEqual(2 * queueMax + 1);
    }
    expect({ lost, restored }).toEqual({ lost: [], restored: 0 });
  });
});
