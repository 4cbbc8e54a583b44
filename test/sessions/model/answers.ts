// What the service answers against what the model says; and the changes of the model that follow.
import { expect } from 'vitest';
import { bitsOf } from '../../helpers/recurrence.ts';
import { type Effect, apply, outputOf } from '../replay.ts';
import { bytesOf, readStates } from '../states.ts';
import {
  type Call,
  type CallAnswer,
  type Model,
  type Service,
  type Session,
  infoOf,
  layersOf,
  mayBeForgotten,
  timeOf,
} from './model.ts';

/** A new session, or a fork. */
export function adopt(
  model: Model,
  service: Service,
  response: CallAnswer,
  { modelAt, state, ttlMs }: Pick<Session, 'modelAt' | 'state' | 'ttlMs'>,
): void {
  const info = JSON.parse(response.body);
  const etag = String(response.headers.etag);
  const [, incarnation] = /^"([\w-]+)\.0\.[\w-]+"$/.exec(etag) ?? [];
  const session: Session = {
    id: info.id,
    modelAt,
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
  expect(info).toEqual(infoOf(session, service));
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
  service: Service,
  session: Session,
  sent: Call,
  effect: Effect,
  response: CallAnswer,
): boolean {
  const layers = layersOf(session);
  const before = session.state;
  const after = apply(layers, before, effect);
  if (!after) {
    const kept = before.past.map(({ t }) => t);
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
  const info = infoOf(session, service);
  if (effect.kind !== 'advance') {
    expect(JSON.parse(response.body)).toEqual(info);
    return true;
  }
  const { h, c, hs, ys, y, session: mark } = JSON.parse(response.body);
  const { id, t, digest, expires_at } = info;
  expect(mark).toEqual({ id, t, version, digest, expires_at });
  expect(bytesOf(readStates(layers, { h, c }))).toEqual(bytesOf(after.states));
  const output = outputOf(layers, before.states, effect.xs);
  expectBits(y, output.y);
  const isStep = sent.path === '/v1/step';
  expectBits(hs, isStep ? undefined : output.hs);
  expectBits(ys, isStep ? undefined : output.ys);
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

/** @param values nested arrays, or undefined if there must be none */
function expectBits(values: unknown, numbers: Float32Array | undefined): void {
  if (!numbers) return expect(values).toBeUndefined();
  expect(bitsOf(values)).toEqual(Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength));
}
