import { Readable } from 'node:stream';
import { setImmediate as nextIteration } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { throttleReads } from '../../src/http/bodies/read-throttle.ts';

const KiB = 1024;
const CHUNK = Buffer.alloc(64 * KiB);
const BODIES = 16;
const CHUNKS = 32;
const ALL_BYTES = BODIES * CHUNKS * CHUNK.length;

/** A body whose bytes have all arrived. */
function makeBody(): Readable {
  let left = CHUNKS;
  return new Readable({
    highWaterMark: CHUNK.length,
    read() {
      this.push(left-- > 0 ? CHUNK : null);
    },
  });
}

/** The most bytes that were received within one event-loop iteration, and the total. */
async function receive(taken: (body: Readable, bytes: number) => void) {
  let bytes = 0;
  const ended = new Set<Readable>();
  for (let i = 0; i < BODIES; i++) {
    const body = makeBody();
    body.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      taken(body, chunk.length);
    });
    body.on('end', () => ended.add(body));
  }
  let most = 0;
  let before = 0;
  for (let count = 0; ended.size < BODIES && count < 10_000; count++) {
    await nextIteration();
    most = Math.max(most, bytes - before);
    before = bytes;
  }
  return { most, bytes, ended: ended.size };
}

describe('long bodies that arrive together', () => {
  test('one iteration reads only a part of them, and the bodies arrive complete', async () => {
    const { most, bytes, ended } = await receive(throttleReads);
    expect(ended).toBe(BODIES);
    expect(bytes).toBe(ALL_BYTES);
    expect(most).toBeLessThan(256 * KiB + 2 * BODIES * CHUNK.length);
  });

  test('control: without the throttle one iteration reads too many bytes', async () => {
    const { most } = await receive(() => {});
    expect(most).toBeGreaterThan(ALL_BYTES / 2);
  });
});

test('a connection that was destroyed while it was paused is resumed without an error', async () => {
  const body = makeBody();
  body.on('data', (chunk: Buffer) => throttleReads(body, 100 * chunk.length));
  await nextIteration();
  body.destroy();
  await nextIteration();
  await nextIteration();
  expect(body.destroyed).toBe(true);
});
