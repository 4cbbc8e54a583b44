// If-Match and Idempotency-Key on a session.
import { describe, expect, test } from 'vitest';
import { startService } from './service.ts';

const { clock, call, create, step } = await startService();

describe('If-Match', () => {
  test('the ETag of the session is accepted, any other is answered with its step and version', async () => {
    const { id } = await create();
    const first = await step(id, 1);
    const { etag } = first.headers as { etag: string };
    expect((await step(id, 2, { 'if-match': etag })).statusCode).toBe(200);
    const stale = await step(id, 3, { 'if-match': etag });
    expect(stale.statusCode).toBe(412);
    expect(stale.json()).toMatchObject({ code: 'step_conflict', t: 2, version: 2, applied: 'no' });
    expect((await step(id, 3, { 'if-match': '*' })).statusCode).toBe(200);
    const malformed = await step(id, 3, { 'if-match': 'x' });
    expect(malformed.statusCode).toBe(400);
  });

  test('404 comes before 412, and an ETag of another session never matches', async () => {
    const [a, b] = [await create(), await create()];
    const etag = (await call('GET', `/v1/sessions/${a.id}`)).headers.etag as string;
    expect((await step(b.id, 1, { 'if-match': etag })).statusCode).toBe(412);
    const unknown = await step('AAAAAAAAAAAAAAAAAAAAAA', 1, { 'if-match': etag });
    expect([unknown.statusCode, unknown.json().code]).toEqual([404, 'session_not_found']);
    expect(unknown.json().applied).toBe('no');
  });
});

describe('Idempotency-Key', () => {
  test('a repeated call has the same bytes and changes nothing', async () => {
    const { id } = await create();
    const key = { 'idempotency-key': 'k-1' };
    const first = await step(id, 1, key);
    clock.nowMs += 1_000;
    await step(id, 2);
    const again = await step(id, 1, key);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.body).toBe(first.body);
    expect(again.headers.etag).toBe(first.headers.etag);
    expect((await call('GET', `/v1/sessions/${id}`)).json().t).toBe(2);
  });

  test('another address is another call, even without bodies', async () => {
    const { id } = await create();
    const headers = { 'idempotency-key': 'k' };
    await call('POST', `/v1/sessions/${id}/fork`, undefined, headers);
    const other = await call('DELETE', `/v1/sessions/${id}`, undefined, headers);
    expect([other.statusCode, other.json().code]).toEqual([422, 'idempotency_key_reused']);
  });

  test('the quoted form is the same key', async () => {
    const { id } = await create();
    await step(id, 1, { 'idempotency-key': 'k' });
    const again = await step(id, 1, { 'idempotency-key': '"k"' });
    expect(again.headers['idempotency-replayed']).toBe('true');
  });

  test('a repeated call with a stale If-Match is answered, not refused', async () => {
    const { id } = await create();
    const { etag } = (await call('GET', `/v1/sessions/${id}`)).headers as { etag: string };
    const headers = { 'idempotency-key': 'k', 'if-match': etag };
    const first = await step(id, 1, headers);
    const again = await step(id, 1, headers);
    expect([first.statusCode, again.statusCode]).toEqual([200, 200]);
    expect(again.body).toBe(first.body);
  });

  test('a key that is sent with another body or address is 422, and nothing is applied', async () => {
    const { id } = await create();
    const key = { 'idempotency-key': 'k' };
    await step(id, 1, key);
    for (const response of [
      await step(id, 2, key),
      await call('PUT', `/v1/sessions/${id}/state`, { h: [[0, 0]] }, key),
      await call('POST', `/v1/sessions/${id}/fork`, undefined, key),
      await call('DELETE', `/v1/sessions/${id}`, undefined, key),
    ]) {
      expect([response.statusCode, response.json().code]).toEqual([422, 'idempotency_key_reused']);
      expect(response.json().applied).toBe('no');
    }
    expect((await call('GET', `/v1/sessions/${id}`)).json().t).toBe(1);
  });

  test('the same key on another session is another key', async () => {
    const [a, b] = [await create(), await create()];
    const key = { 'idempotency-key': 'k' };
    await step(a.id, 1, key);
    expect((await step(b.id, 2, key)).headers['idempotency-replayed']).toBeUndefined();
  });

  test('a failed call leaves its key free', async () => {
    const { id } = await create();
    const key = { 'idempotency-key': 'k' };
    expect((await call('POST', '/v1/step', { session: id, x: [[1, 2]] }, key)).statusCode).toBe(422);
    expect((await step(id, 1, key)).statusCode).toBe(200);
  });

  test('the last 64 keys are kept; an older one with If-Match is refused', async () => {
    const { id } = await create();
    const first = await step(id, 1, { 'idempotency-key': 'k-0' });
    const { etag } = first.headers as { etag: string };
    for (let k = 1; k < 64; k++) await step(id, k, { 'idempotency-key': `k-${k}` });
    expect((await step(id, 1, { 'idempotency-key': 'k-0' })).body).toBe(first.body);
    await step(id, 64, { 'idempotency-key': 'k-64' });
    const pruned = await step(id, 1, { 'idempotency-key': 'k-0', 'if-match': etag });
    expect(pruned.statusCode).toBe(412);
  });

  test('sequences, states, rewinds, forks and deletions are answered again as well', async () => {
    const { id } = await create({ keep: 4 });
    const base = `/v1/sessions/${id}`;
    const calls: [string, 'POST' | 'PUT' | 'DELETE', string, unknown][] = [
      ['a', 'POST', '/v1/sequence', { session: id, x: [[[1]], [[2]]] }],
      ['b', 'PUT', `${base}/state`, { h: [[0.5, -0.5]], t: 7 }],
      ['c', 'POST', `${base}/rewind`, { t: 2 }],
      ['d', 'POST', `${base}/fork`, undefined],
      ['e', 'DELETE', base, undefined],
    ];
    for (const [key, method, url, body] of calls) {
      const headers = { 'idempotency-key': key };
      const first = await call(method, url, body, headers);
      const again = await call(method, url, body, headers);
      expect(first.statusCode, first.body).toBeLessThan(300);
      expect([again.statusCode, again.body]).toEqual([first.statusCode, first.body]);
      expect(again.headers.etag).toBe(first.headers.etag);
      expect(again.headers.location).toBe(first.headers.location);
      expect(again.headers['idempotency-replayed']).toBe('true');
    }
  });

  test('one of 16 concurrent calls is applied, the others have the same response or 409', async () => {
    const { id } = await create();
    for (let round = 0; round < 50; round++) {
      const headers = { 'idempotency-key': `round-${round}` };
      const responses = await Promise.all(Array.from({ length: 16 }, () => step(id, round, headers)));
      const done = responses.filter(({ statusCode }) => statusCode === 200);
      expect(new Set(done.map(({ body }) => body)).size).toBe(1);
      expect(responses.filter(({ statusCode }) => statusCode === 409)).toHaveLength(16 - done.length);
    }
    expect((await call('GET', `/v1/sessions/${id}`)).json()).toMatchObject({ t: 50, version: 50 });
  });

  test.each(['', 'a b', '"unclosed', 'ü', 'x'.repeat(256)])('%j is not a key', async (key) => {
    const { id } = await create();
    const response = await step(id, 1, { 'idempotency-key': key });
    expect([response.statusCode, response.json().applied]).toEqual([400, 'no']);
  });
});
