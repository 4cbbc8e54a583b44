// The audit log: a line for every change of a session or a model but steps, and no id of a session in it.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { createAuditLogger, createLogger } from '../../src/logging.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { makeKeys } from '../helpers/access.ts';
import { buildApp } from '../helpers/app.ts';

const WEIGHTS = { W_x: [[0.5]], W_h: [[0.8]] };
const folder = mkdtempSync(join(tmpdir(), 'carryover-audit-'));
afterAll(() => rmSync(folder, { recursive: true }));

const hashOf = (id: string) => createHash('sha256').update(id).digest('hex').slice(0, 8);

class LosingStore extends MemoryStore {
  isLosing = false;

  override async change(...args: Parameters<MemoryStore['change']>) {
    const result = await super.change(...args);
    if (this.isLosing) throw new CarryoverError('store_unavailable', { detail: 'lost', applied: 'unknown' });
    return result;
  }
}

async function service() {
  const text: string[] = [];
  const auditLogger = createLogger('info', { write: (line) => void text.push(line) });
  const store = new LosingStore(1e9);
  const app = await buildApp({ TRUST_PROXY: 'true' }, { auditLogger, store });
  const send = async (method: 'POST' | 'PUT' | 'DELETE', url: string, body?: object, headers = {}) => {
    const response = await app.http.inject({
      method,
      url,
      headers: { 'x-forwarded-for': '203.0.113.7', ...(body && { 'content-type': 'application/json' }), ...headers },
      ...(body && { payload: JSON.stringify(body) }),
    });
    expect(response.statusCode).toBeLessThan(504);
    return response;
  };
  /** The lines of what `act` does, without what is in every line. */
  const linesOf = async (act: () => Promise<unknown>) => {
    text.length = 0;
    await act();
    return text.map((line) => {
      const { level: _, time: _time, pid: _pid, hostname: _host, msg, reqId, client, ...rest } = JSON.parse(line);
      expect({ msg, client, reqId }).toEqual({ msg: 'audit', client: '203.0.113.7', reqId: expect.any(String) });
      return rest;
    });
  };
  return { send, linesOf, text, store };
}

describe('sessions', async () => {
  const { send, linesOf, text, store } = await service();
  let id = '';
  const model = expect.stringMatching(/^sha256:[0-9a-f]{64}$/);
  const session = () => hashOf(id);

  test('create', async () => {
    const lines = await linesOf(async () => {
      id = (await send('POST', '/v1/sessions', { weights: WEIGHTS, keep: 4 })).json().id;
    });
    expect(lines).toEqual([{ action: 'session.create', session: session(), model, after: { t: 0, version: 0 } }]);
  });

  test('a step has no line', async () => {
    expect(await linesOf(() => send('POST', '/v1/step', { session: id, x: [[1]] }))).toEqual([]);
  });

  test('set and rewind, with the versions before and after', async () => {
    expect(await linesOf(() => send('PUT', `/v1/sessions/${id}/state`, { h: [[0.5]], t: 7 }))).toEqual([
      { action: 'session.set', session: session(), model, before: { t: 1, version: 1 }, after: { t: 7, version: 2 } },
    ]);
    expect(await linesOf(() => send('POST', `/v1/sessions/${id}/rewind`, { t: 1 }))).toEqual([
      { action: 'session.rewind', session: session(), model, before: { t: 7, version: 2 }, after: { t: 1, version: 3 } },
    ]);
  });

  test('fork, once however often it is repeated with its key', async () => {
    let fork = '';
    const lines = await linesOf(async () => {
      for (let k = 0; k < 2; k++) {
        fork = (await send('POST', `/v1/sessions/${id}/fork`, undefined, { 'idempotency-key': 'one' })).json().id;
      }
    });
    expect(lines).toEqual([
      {
        action: 'session.fork',
        session: session(),
        fork: hashOf(fork),
        model,
        before: { t: 1, version: 3 },
        after: { t: 1, version: 0 },
      },
    ]);
  });

  test('a change that is refused has no line, and one that may have been made says so', async () => {
    const set = (headers = {}) => send('PUT', `/v1/sessions/${id}/state`, { h: [[0.5]], t: 9 }, headers);
    expect(await linesOf(() => set({ 'if-match': '"other.1"' }))).toEqual([]);
    store.isLosing = true;
    const lines = await linesOf(() => set());
    store.isLosing = false;
    expect(lines).toMatchObject([{ action: 'session.set', after: { t: 9 }, applied: 'unknown' }]);
  });

  test('delete', async () => {
    const lines = await linesOf(() => send('DELETE', `/v1/sessions/${id}`));
    expect(lines).toEqual([{ action: 'session.delete', session: session(), model, before: { t: 9, version: 4 } }]);
    expect(text.join('')).not.toContain(id);
  });
});

test('models: register, move and delete', async () => {
  const { send, linesOf } = await service();
  const ids: string[] = [];
  const register = async (name: string, W: number) => {
    ids.push((await send('POST', '/v1/models', { name, weights: { ...WEIGHTS, W_h: [[W]] } })).json().id);
  };
  expect(await linesOf(() => register('a', 0.1))).toEqual([{ action: 'model.register', model: ids[0], names: ['a'] }]);
  await register('b', 0.2);
  expect(await linesOf(() => send('PUT', '/v1/models/a', { model: 'b' }))).toEqual([
    { action: 'model.move', model: ids[1], names: ['a'], before: ids[0] },
  ]);
  expect(await linesOf(() => send('DELETE', `/v1/models/${ids[1]}`))).toEqual([
    { action: 'model.delete', model: ids[1], names: ['b', 'a'] },
  ]);
});

describe('the file', () => {
  test('lines are appended, each before the next is made', () => {
    const file = join(folder, 'deep/audit.log');
    for (const k of [1, 2]) {
      const logger = createAuditLogger(file, () => {});
      logger.info({ k }, 'audit');
    }
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
    expect(lines).toMatchObject([{ k: 1 }, { k: 2 }]);
  });

  test('a file that cannot be opened is an error at the start', () => {
    expect(() => createAuditLogger(folder, () => {})).toThrow(/EISDIR/);
  });
});

test('where there are keys, each line says of which tenant, and by which key', async () => {
  const keys = makeKeys();
  const key = keys.add('weather');
  const lines: { action?: string; tenant?: string; by?: string }[] = [];
  const logger = createLogger('info', { write: (line) => void lines.push(JSON.parse(line)) });
  const app = await buildApp({ API_KEYS_FILE: keys.path }, { auditLogger: logger, logger });
  const headers = { 'x-api-key': key };
  await app.http.inject({ method: 'POST', url: '/v1/models', headers, payload: { weights: WEIGHTS } });
  await app.http.inject({ method: 'POST', url: '/v1/models', payload: { weights: WEIGHTS } });
  const by = `key:${key.split('_')[1]}`;
  expect(lines.filter(({ action }) => action === 'model.register')).toMatchObject([{ tenant: 'weather', by }]);
  const requests = lines.filter((line) => (line as { msg?: string }).msg === 'request');
  expect(requests.map(({ tenant }) => tenant)).toEqual(['weather', undefined]);
  expect(JSON.stringify(lines)).not.toContain(key.slice(-43));
});
