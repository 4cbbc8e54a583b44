// All kinds of changes through connections that are cut at random: what becomes of a session is what becomes of its mirror, to
// which the same is done without losses.
import { beforeAll, expect, test } from 'vitest';
import { Carryover, type CarryoverError, type Session, Tensor } from '../../src/client/index.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { sized } from '../helpers/long.ts';
import { startLossyProxy } from '../helpers/lossy-proxy.ts';
import { SEED } from '../helpers/seed.ts';
import { type TestService, startService } from './service.ts';

const SESSIONS = sized({ short: 4, long: 12 });
const CHANGES = sized({ short: 20, long: 60 });
const CHANCE = 0.15;

let server: TestService;
beforeAll(async () => {
  server = await startService();
});

type Change = (session: Session) => Promise<unknown>;

/** A change that the mirror can make now, with numbers of its own. */
async function randomChange(random: () => number, mirror: Session, onFork: () => void): Promise<Change> {
  const kind = Math.floor(((random() + 1) / 2) * 8);
  const [a, b, c] = [[[random()]], [[random()]], [[random()]]] as const;
  const { kept, t } = await mirror.read();
  switch (kind) {
    case 0:
      return (session) => session.sequence([a, b, c]);
    case 1:
      return (session) => Array.fromAsync(session.stream([a, b, c], { window: 2 }));
    case 2:
      return (session) => session.set({ h: new Tensor([1, 2], [a[0][0], -0]), t: t + 5 });
    case 3:
      return (session) => session.rewind(kept.at(-1) ?? t);
    case 4:
      return async (session) => {
        await (await session.fork()).step(a);
        onFork();
      };
    default:
      return (session) => session.step(a);
  }
}

test(`${SESSIONS} × ${CHANGES} random changes do through lost connections what they do without losses`, async () => {
  const proxy = await startLossyProxy(server.port, SEED, CHANCE);
  const direct = new Carryover(server.url);
  const lossy = new Carryover(`http://127.0.0.1:${proxy.port}`, { retry: { delayMs: 5, delayMsMax: 200 } });
  const model = await direct.models.register({ weights: { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]] } });
  let forks = 0;
  const changeBoth = async (k: number) => {
    const random = pseudoRandom(SEED + k);
    const create = (carryover: Carryover) => carryover.sessions.create({ model: model.id, keep: 8 });
    const [mirror, session] = await Promise.all([create(direct), create(lossy)]);
    for (let i = 0; i < CHANGES; i++) {
      const change = await randomChange(random, mirror, () => forks++);
      // A rewind may find no state kept: then it is refused in both.
      const outcomes = [];
      for (const one of [mirror, session]) outcomes.push(await change(one).then(() => 'done', ({ code }: CarryoverError) => code));
      expect(outcomes[1]).toBe(outcomes[0]);
    }
    const { t, version, digest, h, kept } = await mirror.read();
    expect(await session.read()).toMatchObject({ t, version, digest, h, kept });
  };
  await Promise.all(Array.from({ length: SESSIONS }, (_, k) => changeBoth(k)));
  console.log(`${forks} forks, ${proxy.losses} connections lost (SEED=${SEED})`);
  expect(proxy.losses).toBeGreaterThan(SESSIONS);
  // Not one that was made twice.
  expect(await Array.fromAsync(direct.sessions.list())).toHaveLength(2 * SESSIONS + forks);
  await proxy.close();
});
