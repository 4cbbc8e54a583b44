// The data of earlier versions can be read. Each wrote its fixtures by a server that was then killed, so a SQLite file
// has its WAL beside it.
//
//   before-nonces   numerics 1, states without nonces, models that outlive their sessions, a WAL without generations
//   before-layers   numerics 2, and models in the short form only: a session has one h, and no c
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { describeWith } from '../helpers/needs.ts';
import { startRedis } from '../helpers/redis.ts';

interface Version {
  readonly name: string;
  /** Minutes after the fixtures were written: before their sessions expire. */
  readonly nowMs: number;
  /** Keys of calls that are answered as they were then. */
  readonly repeated: readonly Key[];
  /** Keys of calls that other numerics have computed. */
  readonly computedByOthers: readonly Key[];
  /** The weights of the model `adder`. */
  readonly adder: object;
}

const VERSIONS: readonly Version[] = [
  {
    name: 'before-nonces',
    nowMs: Date.parse('2026-11-28T23:10:00Z'),
    repeated: ['rewind-3', 'fork-4'],
    computedByOthers: ['step-1', 'sequence-2'],
    adder: { weights: { W_x: [[0.5, -0.25]], W_h: [[0.25, 0.5], [-0.5, 0.125]] } },
  },
  {
    name: 'before-layers',
    nowMs: Date.parse('2026-11-29T11:40:00Z'),
    repeated: ['create-0', 'step-1', 'sequence-2', 'rewind-3', 'fork-4', 'put-5', 'delete-6'],
    computedByOthers: [],
    adder: {
      weights: { W_x: [[0.5, -0.25]], W_h: [[0.3, 0.1], [-0.2, 0.4]], b: [0.1, 0.2] },
      readout: { W_y: [[1], [-2]], b_y: [0.5] },
    },
  },
];

/** What the earlier version had answered. */
interface Recorded {
  /** With the model `adder`, `keep` 2 and the calls 1 to 4. */
  readonly session: string;
  /** Created with inline weights. */
  readonly inline: string;
  readonly deleted: string;
  /** Named `adder`. */
  readonly model: string;
  /** By key; of `session` and `inline` as they were read in the end. */
  readonly answers: Readonly<Record<string, string>>;
  readonly etags: Readonly<Record<string, string>>;
}

type Key = keyof ReturnType<typeof keyedCalls>;

/** The calls that had a key, as they were sent. */
function keyedCalls({ session, inline, deleted }: Recorded) {
  return {
    'create-0': ['POST', '/v1/sessions', '{"model":"adder","keep":2,"ttl_s":2592000}'],
    'step-1': ['POST', '/v1/step', `{"session":"${session}","x":[[1]]}`],
    'sequence-2': ['POST', '/v1/sequence', `{"session":"${session}","x":[[[0.5]],[[2]]]}`],
    'rewind-3': ['POST', `/v1/sessions/${session}/rewind`, '{"t":1}'],
    'fork-4': ['POST', `/v1/sessions/${session}/fork`, ''],
    'put-5': ['PUT', `/v1/sessions/${inline}/state`, '{"h":[[0.5]],"t":4}'],
    'delete-6': ['DELETE', `/v1/sessions/${deleted}`, ''],
  } as const;
}

describe.each(VERSIONS)('a store of the version $name:', (version) => {
  const file = (name: string) => readFileSync(new URL(`../fixtures/store/${version.name}/${name}`, import.meta.url));
  const json = (name: string): unknown => JSON.parse(file(name).toString());

  describe('a SQLite file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'carryover-earlier-'));
    afterAll(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'carryover.sqlite');
    isRead(version, json('sqlite.json') as Recorded, async () => {
      for (const end of ['', '-wal']) {
        writeFileSync(path + end, gunzipSync(file(`carryover.sqlite${end}.gz`)));
      }
      return `sqlite:${path}`;
    });
  });

  describeWith('redis-server', 'records in Redis', () => {
    const recorded = json('redis.json') as Recorded & { readonly commands: readonly [string, ...string[]][] };
    isRead(version, recorded, async () => {
      const server = await startRedis();
      for (const [command, ...args] of recorded.commands) {
        await server.admin.call(command, ...args.map((text) => Buffer.from(text, 'base64')));
      }
      return server.url;
    });
  });
});

function isRead(version: Version, recorded: Recorded, fill: () => Promise<string>): void {
  const { session, inline, answers, etags } = recorded;
  const calls = keyedCalls(recorded);
  let app: TestApp;
  beforeAll(async () => {
    app = await buildApp({ STORE_URL: await fill() }, { now: () => version.nowMs });
  });

  const get = (id: string) => app.http.inject({ url: `/v1/sessions/${id}` });
  const send = (method: 'POST' | 'PUT' | 'DELETE', url: string, payload: string, headers: Record<string, string>) => {
    const type = payload && { 'content-type': 'application/json' };
    return app.http.inject({ method, url, ...(payload && { payload }), headers: { ...type, ...headers } });
  };
  const repeat = (key: Key) => {
    const [method, url, payload] = calls[key];
    return send(method, url, payload, { 'idempotency-key': key });
  };
  const step = (id: string, ifMatch: string) =>
    send('POST', '/v1/step', JSON.stringify({ session: id, x: [[1]] }), { 'if-match': ifMatch });

  test('the sessions are there, under their ETags, and the tombstones', async () => {
    for (const [name, id] of [['session', session], ['inline', inline]] as const) {
      const response = await get(id);
      expect([response.statusCode, response.body]).toEqual([200, answers[name]]);
      expect(response.headers.etag).toBe(etags[name]);
    }
    expect((await get(recorded.deleted)).statusCode).toBe(410);
  });

  if (version.computedByOthers.length > 0) {
    test.each(version.computedByOthers)('says of %s, computed by numerics 1, that it was applied, and where the session is', async (key) => {
      const response = await repeat(key);
      const { t, version: changes } = JSON.parse(answers.session!);
      expect([response.statusCode, response.json()]).toMatchObject([
        422,
        { code: 'answer_not_kept', applied: 'yes', t, version: changes },
      ]);
      expect(response.json().detail).toContain('it was computed by numerics 1, and this server has numerics 2');
    });
  }

  test.each(version.repeated)('the call %s is answered as it was answered then', async (key) => {
    const response = await repeat(key);
    expect(response.headers['idempotency-replayed']).toBe('true');
    expect([response.body, response.headers.etag]).toEqual([answers[key], etags[key]]);
  });

  test('the models are there, those that came with a session too', async () => {
    const adder = await app.http.inject({ url: '/v1/models/adder' });
    expect(adder.json().id).toBe(recorded.model);
    const { statusCode } = await step(inline, etags.inline!);
    expect(statusCode).toBe(200);
    const again = await app.post('/v1/models', version.adder);
    expect([again.status, again.body.id]).toEqual([200, recorded.model]);
  });

  test('a session continues from its state, whose ETag matches no other', async () => {
    expect((await step(session, etags['step-1']!)).statusCode).toBe(412);
    const next = await step(session, etags.session!);
    expect([next.statusCode, next.json().session.version]).toEqual([200, 4]);
    expect((await step(session, etags.session!)).statusCode).toBe(412);
    const rewound = await send('POST', `/v1/sessions/${session}/rewind`, '{"t":0}', {});
    expect([rewound.statusCode, rewound.json().t]).toEqual([200, 0]);
  });
}
