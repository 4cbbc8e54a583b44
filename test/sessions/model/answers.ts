// What the service answers against what the model says; and the changes of the model that follow.
import { expect } from 'vitest';
import { type Effect, type State, apply } from '../replay.ts';
import {
  type Call,
  type CallAnswer,
  type Model,
  type Service,
  type Session,
  WEIGHTS,
  infoOf,
  mayBeForgotten,
  timeOf,
} from './model.ts';

/** A new session, or a fork. */
export function adopt(
  model: Model,
  { modelId }: Service,
  response: CallAnswer,
  state: State,
  ttlMs: number,
): void {
  const info = JSON.parse(response.body);
  const etag = String(response.headers.etag);
  const [, incarnation] = /^"([\w-]+)\.0\.[\w-]+"$/.exec(etag) ?? [];
  const session: Session = {
    id: info.id,
    incarnation: incarnation!,
    createdAtMs: model.nowMs,
    ttlMs,
    state,
    version: 0,
    etag,
    expiresAtMs: model.nowMs + ttlMs,
    keyedCalls: [],
    isForgotten: false,
  };
  expect(info).toEqual(infoOf(session, modelId));
  expect(incarnation).toBeDefined();
  expect(response.headers.location).toBe(`/v1/sessions/${session.id}`);
  for (const other of model.sessions) {
    expect([session.id, session.incarnation]).not.toEqual([other.id, other.incarnation]);
  }
  model.sessions.push(session);
}

/** @returns whether it was one */
export function change(
  model: Model,
  { modelId }: Service,
  session: Session,
  sent: Call,
  effect: Effect,
  response: CallAnswer,
): boolean {
  const after = apply(WEIGHTS, session.state, effect);
  if (!after) {
    const kept = session.state.past.map(({ t }) => t);
    expectProblem(session, sent, response, 422, { code: 'state_not_kept', kept });
    return false;
  }
  session.state = after;
  session.version++;
  session.expiresAtMs = model.nowMs + session.ttlMs;
  expect(response.status, response.body).toBe(200);
  const { incarnation, version } = session;
  expect(response.headers.etag).toMatch(new RegExp(`^"${incarnation}\\.${version}\\.[\\w-]{6,}"$`));
  session.etag = String(response.headers.etag);
  expect(response.headers['x-session-id']).toBe(session.id);
  const info = infoOf(session, modelId);
  if (effect.kind !== 'advance') {
    expect(JSON.parse(response.body)).toEqual(info);
    return true;
  }
  const { h, hs, session: mark } = JSON.parse(response.body);
  const { id, t, digest, expires_at } = info;
  expect(mark).toEqual({ id, t, version, digest, expires_at });
  expectBits(h ?? hs.at(-1), after.h);
  return true;
}

export function expectGone(model: Model, session: Session, sent: Call, response: CallAnswer): void {
  if (session.isForgotten || (mayBeForgotten(model, session) && response.status === 404)) {
    session.isForgotten = true;
    return expectProblem(session, sent, response, 404, { code: 'session_not_found' });
  }
  const { deleted, expiresAtMs, state } = session;
  return expectProblem(session, sent, response, 410, {
    code: 'session_gone',
    reason: deleted ? 'deleted' : 'expired',
    at: timeOf(deleted?.atMs ?? expiresAtMs),
    t: state.t,
  });
}

export function expectProblem(
  session: Session,
  sent: Call,
  response: CallAnswer,
  status: number,
  members: object,
): void {
  const problem = JSON.parse(response.body);
  expect(problem).toMatchObject({ status, ...members });
  expect(response.status).toBe(status);
  expectNoReplay(response);
  const wasApplied = session.keyedCalls.some(({ call }) => call === sent);
  if (sent.key === undefined) expect(problem.applied).toBe('no');
  else expect(wasApplied ? ['unknown', 'yes'] : ['no', 'unknown']).toContain(problem.applied);
}

export function expectNoReplay({ headers }: CallAnswer): void {
  expect(headers['idempotency-replayed']).toBeUndefined();
}

export function expectBits(rows: readonly number[][], h: Float32Array): void {
  expect([...new Uint32Array(Float32Array.from(rows.flat()).buffer)]).toEqual([
    ...new Uint32Array(h.buffer, h.byteOffset, h.length),
  ]);
}
