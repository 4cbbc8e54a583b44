// No body blocks the event loop, whatever its content: work that grows with the body is done by a worker, in
// bounded memory.
import { describe, expect, test } from 'vitest';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { count, sample } from '../helpers/long.ts';
import { WORST_FILES, WORST_JSON, type WorstBody } from '../helpers/worst-bodies.ts';

const MiB = 1024 * 1024;
/** `BODY_BYTES_MAX` is 32 MiB: WORST_BODY_MIB=32 npm test -- test/http/worst-bodies.test.ts */
const BYTES = count('WORST_BODY_MIB', { short: 1, long: 2 }) * MiB;
/** Of processor time; parsing such a body into values takes far longer. */
const HOLD_MS_MAX = 100;
/** The time for a body is needed in every attempt, that of a garbage collection in some only. */
const ATTEMPTS = 3;

const app = await buildApp();

/**
 * The longest time for which the event loop was blocked while a body was answered: processor time of this thread
 * between two ticks of a timer, in which other processes have no part.
 */
async function send({ http }: TestApp, type: string, { make }: WorstBody, bytes = BYTES) {
  const payload = make(bytes);
  let [heldMs, before] = [0, cpuMs()];
  const tick = () => {
    const now = cpuMs();
    [heldMs, before] = [Math.max(heldMs, now - before), now];
  };
  const timer = setInterval(tick, 1);
  const response = await http.inject({
    method: 'POST',
    url: '/v1/step',
    headers: { 'content-type': type },
    payload,
  });
  tick();
  clearInterval(timer);
  return { code: response.json().code as string | undefined, heldMs };
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

describe.each([
  ['application/json', WORST_JSON],
  ['application/vnd.carryover.safetensors', WORST_FILES],
])('%s', (type, bodies) => {
  test.each(sample(bodies, Math.ceil(bodies.length / 4)))('the event loop is not blocked by $name', async (body) => {
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
  const { heldMs } = await send(plain, 'application/json', body, MiB / 2);
  expect(heldMs).toBeGreaterThan(HOLD_MS_MAX);
});
