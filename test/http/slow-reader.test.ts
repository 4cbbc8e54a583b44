// A slow reader does not grow the server's memory. The complete stream: `npm run verify:streams`.
import { expect, test } from 'vitest';
import { describeLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { startQuickly, startServer } from '../helpers/process.ts';
import { readSlowly } from './slow-reader.ts';

const MiB = 1024 * 1024;
const GROWN_BYTES_MAX = 40 * MiB;
/** 3 MB/s: the whole takes 30 s. */
const SLOW = { bytesPerMs: 3_000, durationMs: 4_000 };
const inMiB = (bytes: number) => (bytes / MiB).toFixed(1);

describeWith('linux', 'a slow reader', () => {
  test('a stream of 65,536 steps keeps within 40 MiB of idle', async () => {
    const server = await startQuickly();
    const { grownBytes, receivedBytes } = await readSlowly(server, SLOW);
    console.info(`slow reader: idle + ${inMiB(grownBytes)} MiB, ${inMiB(receivedBytes)} MiB read`);
    expect(receivedBytes).toBeGreaterThan(5 * MiB);
    expect(grownBytes).toBeLessThan(GROWN_BYTES_MAX);
    expect(await server.stop()).toBe(0);
  });
});

describeLong('without backpressure', () => {
  describeWith('linux', 'a slow reader', () => {
    test('control: without backpressure the stream exceeds that', async () => {
      const server = await startServer({}, 'test/fixtures/servers/no-back-pressure.ts');
      // So slow that the server is faster, however busy the machine is.
      const options = { bytesPerMs: 200, durationMs: 50_000, grownBytesMax: GROWN_BYTES_MAX };
      const { grownBytes } = await readSlowly(server, options);
      console.info(`without back-pressure: idle + ${inMiB(grownBytes)} MiB`);
      expect(grownBytes).toBeGreaterThan(GROWN_BYTES_MAX);
      await server.stop();
    });
  });
});
