// State, rewind, fork, deletion and expiry of a session.
import { describe, expect, test } from 'vitest';
import { HOUR_MS, startService } from './service.ts';

const { app, clock, call, create, step, stateless } = await startService();

describe('state, rewind and fork', () => {
  test('a state can be replaced, with its step', async () => {
    const { id } = await create();
    await step(id, 1);
    const response = await call('PUT', `/v1/sessions/${id}/state`, { h: [[0.25, -0.5]], t: 10 });
    expect(response.json()).toMatchObject({ t: 10, version: 2 });
    expect((await step(id, 1)).json().h).toEqual(await stateless([1], [[0.25, -0.5]]));
    const wrong = await call('PUT', `/v1/sessions/${id}/state`, { h: [[1]] });
    expect([wrong.statusCode, wrong.json().code]).toEqual([422, 'shape_mismatch']);
  });

  test('rewind restores a kept state, and the steps from there have the same results again', async () => {
    const { id } = await create({ keep: 2 });
    const responses = [];
    for (const x of [1, 2, 3]) responses.push((await step(id, x)).json());
    expect((await call('GET', `/v1/sessions/${id}`)).json().kept).toEqual([1, 2]);
    const lost = await call('POST', `/v1/sessions/${id}/rewind`, { t: 0 });
    expect(lost.statusCode).toBe(422);
    expect(lost.json()).toMatchObject({ code: 'state_not_kept', kept: [1, 2], applied: 'no' });
    const { id: withoutPast } = await create({ model: 'tiny' });
    const none = await call('POST', `/v1/sessions/${withoutPast}/rewind`, { t: 0 });
    expect(none.json()).toMatchObject({ code: 'state_not_kept', kept: [], applied: 'no' });
    expect(none.json().detail).toContain('`keep` is 0');
    const back = await call('POST', `/v1/sessions/${id}/rewind`, { t: 1 });
    const { digest } = responses[0].session;
    expect(back.json()).toMatchObject({ t: 1, version: 4, digest });
    expect((await step(id, 2)).json().h).toEqual(responses[1].h);
    expect((await call('GET', `/v1/sessions/${id}`)).json().kept).toEqual([1]);
  });

  test('a fork is independent of its session', async () => {
    const { id } = await create({ keep: 1 });
    await step(id, 1);
    const response = await call('POST', `/v1/sessions/${id}/fork`);
    expect(response.statusCode).toBe(201);
    const fork = response.json();
    expect(fork).toMatchObject({ t: 1, version: 0 });
    expect(fork.id).not.toBe(id);
    expect(response.headers.location).toBe(`/v1/sessions/${fork.id}`);
    await step(fork.id, 5);
    expect((await step(id, 2)).json().h).toEqual(await stateless([1, 2]));
    expect((await call('GET', `/v1/sessions/${fork.id}`)).json().h).toEqual(await stateless([1, 5]));
    const back = await call('POST', `/v1/sessions/${fork.id}/rewind`, { t: 1 });
    expect(back.json()).toMatchObject({ t: 1 });
  });

  test('an empty body with a JSON content type is no body', async () => {
    const { id } = await create();
    const response = await app.http.inject({
      method: 'POST',
      url: `/v1/sessions/${id}/fork`,
      headers: { 'content-type': 'application/json' },
    });
    expect(response.statusCode).toBe(201);
  });
});

describe('deletion and expiry', () => {
  test('a deleted session is 410 with reason, time and step, and later 404', async () => {
    const { id } = await create();
    await step(id, 1);
    expect((await call('DELETE', `/v1/sessions/${id}`)).statusCode).toBe(204);
    const at = new Date(clock.nowMs).toISOString();
    for (const response of [
      await call('GET', `/v1/sessions/${id}`),
      await step(id, 1),
      await call('DELETE', `/v1/sessions/${id}`),
    ]) {
      expect(response.statusCode).toBe(410);
      expect(response.json()).toMatchObject({ code: 'session_gone', reason: 'deleted', at, t: 1 });
      expect(response.json().applied).toBe('no');
    }
    await app.sessions.sweep(1_000);
    expect((await call('GET', `/v1/sessions/${id}`)).statusCode).toBe(410);
    clock.nowMs += HOUR_MS + 1;
    await app.sessions.sweep(1_000);
    expect((await call('GET', `/v1/sessions/${id}`)).statusCode).toBe(404);
  });

  test('an idle session expires at its time, swept or not', async () => {
    const { id, expires_at } = await create({ ttl_s: 10 });
    clock.nowMs += 9_000;
    expect((await step(id, 1)).json().session.expires_at).toBe(
      new Date(clock.nowMs + 10_000).toISOString(),
    );
    clock.nowMs += 9_000;
    expect((await call('GET', `/v1/sessions/${id}`)).statusCode).toBe(200);
    clock.nowMs += 1_001;
    const expired = await step(id, 1);
    expect([expired.statusCode, expired.json().reason]).toEqual([410, 'expired']);
    expect(expired.json().at > expires_at).toBe(true);
    const listed = (await call('GET', '/v1/sessions?limit=1000')).json().sessions;
    expect(listed.map((session: { id: string }) => session.id)).not.toContain(id);
  });

  test('a repeated call on an expired session is 410 as well, swept or not', async () => {
    const { id } = await create({ ttl_s: 10 });
    const key = { 'idempotency-key': 'k' };
    await step(id, 1, key);
    clock.nowMs += 10_001;
    for (const x of [1, 2]) {
      const response = await step(id, x, key);
      expect([response.statusCode, response.json().reason]).toEqual([410, 'expired']);
    }
    await app.sessions.sweep(1_000);
    expect((await step(id, 1, key)).statusCode).toBe(410);
  });

  test('expiry allows the model to be deleted', async () => {
    const weights = { W_x: [[0.125]], W_h: [[0.5]] };
    const model = (await call('POST', '/v1/models', { weights })).json().id;
    await call('POST', '/v1/sessions', { model, ttl_s: 1 });
    clock.nowMs += 2_000;
    await app.sessions.sweep(1_000);
    expect((await call('DELETE', `/v1/models/${model}`)).statusCode).toBe(204);
  });
});
