// The proof of the client: connections are cut at random while steps are sent through it, and each step counts once. The
// control is a program that repeats by itself what has failed.
import { beforeAll, describe, expect, test } from 'vitest';
import { Carryover, CarryoverError, type CarryoverOptions, type Session, type SessionStep, type Tensor } from '../../src/client/index.ts';
import { sized } from '../helpers/long.ts';
import { type LossyProxy, startLossyProxy } from '../helpers/lossy-proxy.ts';
import { SEED } from '../helpers/seed.ts';
import { type TestService, startService } from './service.ts';

const STEPS = sized({ short: 300, long: 10_000 });
const LOSSES = sized({ short: 15, long: 300 });
const SESSIONS = 10;
const MODEL = { layers: [{ type: 'lstm' as const, W_x: [[0.5, -0.25, 1, 2]], W_h: [[0.1, 0.2, -0.3, 0.4]] }] };

/** The inputs of each session, (1, 1). */
const INPUTS = Array.from({ length: STEPS / SESSIONS }, (_, t) => [[Math.sin(t)]]);

let server: TestService;
/** Of a client that loses no connection. */
let direct: Carryover;
beforeAll(async () => {
  server = await startService();
  direct = new Carryover(server.url);
  await direct.models.register(MODEL, { name: 'lossy' });
});

/** Sends the inputs from `t` on. */
type Advance = (session: Session, t: number) => AsyncIterable<SessionStep>;

async function* byStep(session: Session, t: number) {
  for (const x of INPUTS.slice(t)) yield await session.step(x);
}

const byStream: Advance = (session, t) => session.stream(INPUTS.slice(t), { window: 16 });

interface Way {
  readonly advance: Advance;
  /** The chance that a connection is cut where a client has sent something. */
  readonly chance: number;
  readonly address: RegExp;
}

const WAYS: readonly [string, Way][] = [
  ['step()', { advance: byStep, chance: (sized({ short: 1.8, long: 1.2 }) * LOSSES) / STEPS, address: /\/v1\/step$/ }],
  // A message is not a request of its own: several arrive at once, all the more where there are few, and after a loss many are
  // sent again at once.
  ['stream()', { advance: byStream, chance: (sized({ short: 8, long: 8 }) * LOSSES) / STEPS, address: /\/stream$/ }],
];

/** Runs `work` with a client whose connections are cut, for each of the sessions, until enough were cut. */
async function loseConnections(way: Way, options: CarryoverOptions, work: (session: Session, carryover: Carryover) => Promise<SessionStep[]>) {
  const proxy = await startLossyProxy(server.port, SEED, 0);
  const addresses: string[] = [];
  class NotedWebSocket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      addresses.push(String(url));
    }
  }
  const noted: typeof fetch = (url, init) => {
    if (init?.method === 'POST') addresses.push((url as URL).href);
    return fetch(url, init);
  };
  const carryover = new Carryover(`http://127.0.0.1:${proxy.port}`, { ...options, fetch: noted, WebSocket: NotedWebSocket });
  const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => carryover.sessions.create({ model: 'lossy' })));
  addresses.length = 0;
  proxy.chance = way.chance;
  const steps = await Promise.all(sessions.map((session) => work(session, carryover)));
  expect(addresses.filter((address) => !way.address.test(address))).toEqual([]);
  await proxy.close();
  report(proxy);
  return { sessions, steps, proxy };
}

function report({ counts, losses }: LossyProxy): void {
  const parts = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  console.log(`${STEPS} steps, ${losses} connections lost (${parts.join(', ')}, SEED=${SEED})`);
}

const bitsOf = (tensor: unknown) => [...(tensor as Tensor).data];

describe.each(WAYS)('connections that are cut at random while steps are sent by %s', (_, way) => {
  test('lose no step and apply none twice', async () => {
    const { sessions, steps, proxy } = await loseConnections(way, { retry: { delayMs: 10, delayMsMax: 200 } }, async (session) => {
      return Array.fromAsync(way.advance(session, 0));
    });
    expect(proxy.losses).toBeGreaterThan(LOSSES / 2);
    const { hs, h, c } = await direct.sequence({ model: 'lossy', x: INPUTS });
    for (const [i, { id }] of sessions.entries()) {
      expect(steps[i]!.map(({ session: { t } }) => t)).toEqual(INPUTS.map((_, t) => t + 1));
      expect(steps[i]!.flatMap((step) => bitsOf(step.h))).toEqual(bitsOf(hs));
      expect(await (await direct.sessions.open(id)).read()).toMatchObject({ t: INPUTS.length, version: INPUTS.length, h, c });
    }
  });

  test('control: a program that repeats by itself what has failed applies steps twice', async () => {
    const { sessions, steps } = await loseConnections(way, { retry: false }, async ({ id }, carryover) => {
      const taken: SessionStep[] = [];
      while (taken.length < INPUTS.length) {
        try {
          for await (const step of way.advance(await carryover.sessions.open(id), taken.length)) taken.push(step);
        } catch (error) {
          expect(error).toBeInstanceOf(CarryoverError);
        }
      }
      return taken;
    });
    expect(steps.flat()).toHaveLength(STEPS);
    const ends = await Promise.all(sessions.map(({ id }) => direct.sessions.open(id)));
    expect(ends.reduce((sum, { t }) => sum + t, 0)).toBeGreaterThan(STEPS);
  });
});
