// The data of an earlier version can be read. The fixtures are of one without nonces of states, without models
// that are removed with their sessions, and without generations of the WAL. Its process was killed, so the
// SQLite file has its WAL beside it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { describeWith } from '../helpers/needs.ts';
import { startRedis } from '../helpers/redis.ts';

/** What the earlier version had answered. */
interface Recorded {
  readonly session: string;
  /** Created with inline weights. */
  readonly inline: string;
  readonly deleted: string;
  /** Named `adder`. */
  readonly model: string;
  readonly answers: Readonly<Record<string, string>>;
  readonly etags: Readonly<Record<string, string>>;
}

/** Minutes after the fixtures were written: before their sessions expire. */
const NOW_MS = Date.parse('2026-11-28T23:10:00Z');

const file = (name: string) => readFileSync(new URL(`../fixtures/store/earlier/${name}`, import.meta.url));
const json = (name: string): unknown => JSON.parse(file(name).toString());

describe('a SQLite file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-earlier-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'carryover.sqlite');
  isRead(json('sqlite.json') as Recorded, async () => {
    for (const end of ['', '-wal']) {
      writeFileSync(path + end, gunzipSync(file(`carryover.sqlite${end}.gz`)));
    }
    return `sqlite:${path}`;
  });
});

describeWith('redis-server', 'records in Redis', () => {
  const recorded = json('redis.json') as Recorded & { readonly commands: readonly [string, ...string[]][] };
  isRead(recorded, async () => {
    const server = await startRedis();
    for (const [command, ...args] of recorded.commands) {
      await server.admin.call(command, ...args.map((text) => Buffer.from(text, 'base64')));
    }
    return server.url;
  });
});

function isRead(recorded: Recorded, fill: () => Promise<string>): void {
  const { session, answers, etags } = recorded;
  let app: TestApp;
  beforeAll(async () => {
    app = await buildApp({ STORE_URL: await fill() }, { now: () => NOW_MS });
  });

  const get = (id: string) => app.http.inject({ url: `/v1/sessions/${id}` });
  const post = (url: string, payload: string, headers: Record<string, string> = {}) => {
    const type = payload && { 'content-type': 'application/json' };
    return app.http.inject({ method: 'POST', url, payload, headers: { ...type, ...headers } });
  };
  const step = (id: string, ifMatch: string) =>
    post('/v1/step', JSON.stringify({ session: id, x: [[1]] }), { 'if-match': ifMatch });

  test('the sessions are there, under their ETags, and the tombstones', async () => {
    for (const [name, id] of [['session', session], ['inline', recorded.inline]] as const) {
      const response = await get(id);
      expect([response.statusCode, response.body]).toEqual([200, answers[name]]);
      expect(response.headers.etag).toBe(etags[name]);
    }
    expect((await get(recorded.deleted)).statusCode).toBe(410);
  });

  test('the models are there, those that came with a session too', async () => {
    const adder = await app.http.inject({ url: '/v1/models/adder' });
    expect(adder.json().id).toBe(recorded.model);
    const { statusCode } = await step(recorded.inline, etags.inline!);
    expect(statusCode).toBe(200);
  });

  test.each([
    ['step-1', '/v1/step', `{"session":"${session}","x":[[1]]}`],
    ['sequence-2', '/v1/sequence', `{"session":"${session}","x":[[[0.5]],[[2]]]}`],
  ])('says of %s, computed by numerics 1, that it was applied, and where the session is', async (key, url, payload) => {
    const response = await post(url, payload, { 'idempotency-key': key });
    const { t, version } = JSON.parse(answers.session!);
    expect([response.statusCode, response.json()]).toMatchObject([
      422,
      { code: 'answer_not_kept', applied: 'yes', t, version },
    ]);
    expect(response.json().detail).toContain('it was computed by numerics 1, and this server has numerics 2');
  });

  test.each([
    ['rewind-3', `/v1/sessions/${session}/rewind`, '{"t":1}'],
    ['fork-4', `/v1/sessions/${session}/fork`, ''],
  ])('the call %s is answered as it was answered then', async (key, url, payload) => {
    const response = await post(url, payload, { 'idempotency-key': key });
    expect(response.headers['idempotency-replayed']).toBe('true');
    expect([response.body, response.headers.etag]).toEqual([answers[key], etags[key]]);
  });

  test('a session continues from its state, whose ETag matches no other', async () => {
    expect((await step(session, etags['step-1']!)).statusCode).toBe(412);
    const next = await step(session, etags.session!);
    expect([next.statusCode, next.json().session.version]).toEqual([200, 4]);
    expect((await step(session, etags.session!)).statusCode).toBe(412);
    const rewound = await post(`/v1/sessions/${session}/rewind`, '{"t":0}');
    expect([rewound.statusCode, rewound.json().t]).toEqual([200, 0]);
  });
}
