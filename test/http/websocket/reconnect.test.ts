// Connections that are lost at random moments: with keys no step is lost or applied twice.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { pseudoRandom } from '../../../src/wasm/pseudo-random.ts';
import { type Server, SlowStore, TINY, listen } from './server.ts';
import { sized } from '../../helpers/long.ts';

describe('a client that reconnects', () => {
  const LOSSES = sized({ short: 60, long: 200 });

  /**
   * A client sends numbered messages, several before the first response. Its connection is lost at random
   * moments, and it sends again what was not answered.
   */
  async function drive(
    slow: Server,
    id: string,
    withKeys: boolean,
    seed: number,
  ): Promise<{ losses: number; replays: number; answered: number }> {
    const random = pseudoRandom(seed);
    let [losses, replays, answered] = [0, 0, 0];
    while (losses < LOSSES) {
      const { client } = await slow.connect(id);
      const count = 1 + Math.floor((random() + 1) * 1.5);
      // At the earliest before the first message is received, at the latest after the last response.
      const lossAfterMs = (random() + 1) * 3 * count;
      const loss = sleep(lossAfterMs).then(() => client.socket.terminate());
      const first = answered;
      for (let k = first; k < first + count; k++) {
        client.send({ x: [[(k % 7) - 3]], id: k, ...(withKeys && { key: `k-${k}` }) });
      }
      try {
        while (answered < first + count) {
          const response = await client.nextJson();
          // Its first attempt is still running, on the connection that was lost.
          if (response.error?.code === 'idempotency_key_in_use') break;
          expect(response.error).toBeUndefined();
          expect(response.id).toBe(answered);
          if (response.replayed) replays++;
          answered++;
        }
      } catch {
        // The connection is lost.
      }
      await loss;
      losses++;
    }
    return { losses, replays, answered };
  }

  /** Repeats messages from number k until one is applied that was not before; returns the number of steps. */
  async function finish(slow: Server, id: string, k: number): Promise<number> {
    const { client } = await slow.connect(id);
    for (let number = k; ; ) {
      const response = await client.ask({ x: [[(number % 7) - 3]], id: number, key: `k-${number}` });
      if (response.error) await sleep(10);
      else if (response.replayed) number++;
      else {
        await client.close();
        return number + 1;
      }
    }
  }

  test(`a client with keys applies every step once, over ${LOSSES} lost connections`, async () => {
    const store = new SlowStore(1e9);
    const slow = await listen({}, { store });
    const id = await slow.create();
    store.delayMs = 1;
    const { replays, answered: messages } = await drive(slow, id, true, 11);
    const steps = await finish(slow, id, messages);
    // Some messages had been applied and not answered; otherwise the test would show nothing.
    expect(replays).toBeGreaterThan(LOSSES / 20);
    const x = Array.from({ length: steps }, (_, k) => [[(k % 7) - 3]]);
    const whole = await slow.app.post('/v1/sequence', { weights: TINY, x, outputs: ['h'] });
    const { t, version, h } = await slow.read(id);
    expect({ t, version, h }).toEqual({ t: steps, version: steps, h: whole.body.h });
    console.info(`${LOSSES} lost connections, ${steps} steps, ${replays} responses repeated`);
  });

  test('control: a client without keys applies steps twice', async () => {
    const store = new SlowStore(1e9);
    const slow = await listen({}, { store });
    const id = await slow.create();
    store.delayMs = 1;
    const { answered: messages } = await drive(slow, id, false, 11);
    await sleep(50);
    expect((await slow.read(id)).t).toBeGreaterThan(messages + LOSSES / 20);
  });
});
