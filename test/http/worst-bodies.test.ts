// No body blocks the event loop, whatever its content: work that grows with the body is done by a worker, in
// bounded memory.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { WORST_FILES, WORST_JSON, type WorstBody } from '../helpers/worst-bodies.ts';

const MiB = 1024 * 1024;
/** `BODY_BYTES_MAX` is 32 MiB: WORST_BODY_MIB=32 npm test -- test/http/worst-bodies.test.ts */
const BYTES = Number(process.env.WORST_BODY_MIB ?? 2) * MiB;
/** Parsing such a body into values takes far longer; delays by other processes are mostly shorter. */
const HOLD_MS_MAX = 100;
/** The time for a body is needed in every attempt, delays by other processes occur in some only. */
const ATTEMPTS = 3;

const app = await buildApp();

/** The longest time for which the event loop was blocked while a body was answered. */
async function send({ http }: TestApp, type: string, { make }: WorstBody) {
  const payload = make(BYTES);
  const held = monitorEventLoopDelay({ resolution: 1 });
  await sleep(5);
  held.enable();
  const response = await http.inject({
    method: 'POST',
    url: '/v1/step',
    headers: { 'content-type': type },
    payload,
  });
  await sleep(5);
  held.disable();
  return { code: response.json().code as string | undefined, heldMs: held.max / 1e6 };
}

describe.each([
  ['application/json', WORST_JSON],
  ['application/vnd.carryover.safetensors', WORST_FILES],
])('%s', (type, bodies) => {
  test.each(bodies)('the event loop is not blocked by $name', async (body) => {
    const bytesIdle = app.memory.bytesUsed;
    let leastHeldMs = Infinity;
    for (let attempt = 0; attempt < ATTEMPTS && leastHeldMs > HOLD_MS_MAX; attempt++) {
      const { code, heldMs } = await send(app, type, body);
      expect(code).toBe(body.code);
      leastHeldMs = Math.min(leastHeldMs, heldMs);
    }
    expect(leastHeldMs).toBeLessThan(HOLD_MS_MAX);
    expect(app.memory.bytesUsed).toBe(bytesIdle);
  });
});

test('control: a body of this kind that is parsed as a whole blocks the event loop', async () => {
  const plain = await buildApp({}, { reading: { wholeBytesMax: Infinity, inlineBytesMax: Infinity } });
  const body = WORST_JSON.find(({ name }) => name === 'arrays that do not end')!;
  const { heldMs } = await send(plain, 'application/json', body);
  expect(heldMs).toBeGreaterThan(HOLD_MS_MAX);
});
