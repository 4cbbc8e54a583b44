// A command: one random move, made by the service and by the model, whose answers must be the same.
import { expect } from 'vitest';
import { pseudoRandom } from '../../../src/wasm/pseudo-random.ts';
import type { fc } from '../../helpers/seed.ts';
import { MODELS } from '../models.ts';
import { firstState } from '../replay.ts';
import { bytesOf, randomStates, readStates, statesJson, zeroStates } from '../states.ts';
import { adopt, change, expectGone, expectNoReplay, expectProblem } from './answers.ts';
import {
  ANSWERS_MAX,
  type Call,
  type Model,
  type Operation,
  type Service,
  type Session,
  infoOf,
  isGone,
  layersOf,
  mayBeForgotten,
  sweepModel,
} from './model.ts';
import type { Move } from './moves.ts';
import { callOf, effectOf, requestOf } from './requests.ts';

/** One move, sent by the service and by the model. */
export class Command implements fc.AsyncCommand<Model, Service> {
  readonly #move: Move;

  constructor(move: Move) {
    this.#move = move;
  }

  check({ sessions }: Model): boolean {
    const move = this.#move;
    if (!('at' in move)) return true;
    const session = sessions[move.at % sessions.length];
    return session !== undefined && (move.kind !== 'retry' || session.keyedCalls.length > 0);
  }

  async run(model: Model, service: Service): Promise<void> {
    const move = this.#move;
    switch (move.kind) {
      case 'create':
        return create(model, service, move);
      case 'wait':
        model.nowMs += move.seconds * 1_000;
        return service.setTime(model.nowMs);
      case 'sweep':
        await service.sweep();
        return sweepModel(model);
      case 'restart':
        return service.restart();
      case 'list':
        return list(model, service, move.limit);
      case 'save':
        service.losing!.save();
        model.saved = structuredClone(model.sessions);
        return;
      case 'restore':
        if (!model.saved) return;
        service.losing!.restore();
        model.sessions = structuredClone(model.saved);
        return;
      default:
        return onSession(model, service, model.sessions[move.at % model.sessions.length]!, move);
    }
  }

  toString(): string {
    return JSON.stringify(this.#move);
  }
}

async function onSession(
  model: Model,
  service: Service,
  session: Session,
  move: Extract<Move, { at: number }>,
): Promise<void> {
  switch (move.kind) {
    case 'call': {
      const sent = callOf(model, session, move);
      return expectCall(model, service, session, sent, move.operation);
    }
    case 'retry':
      return retry(model, service, session, move);
    case 'concurrent':
      return concurrent(model, service, session, move);
    case 'burst':
      for (let k = 0; k < move.count; k++) {
        const operation = { kind: 'step', xSeed: k } as const;
        const sent = callOf(model, session, { operation, isKeyed: true, precondition: 'none' });
        await expectCall(model, service, session, sent, operation);
      }
      return;
    case 'read':
      return read(model, service, session);
  }
}

async function create(
  model: Model,
  service: Service,
  { modelAt, keep, ttl_s, seed }: Extract<Move, { kind: 'create' }>,
): Promise<void> {
  const { layers } = MODELS[modelAt]!;
  const states = seed === 0 ? zeroStates(layers) : randomStates(layers, pseudoRandom(seed));
  const body = { model: service.modelIds[modelAt], keep, ttl_s, ...(seed > 0 && statesJson(states)) };
  const sent: Call = {
    method: 'POST',
    path: '/v1/sessions',
    body: JSON.stringify(body),
    // Half of them.
    key: seed % 2 === 1 ? `key-${model.keys++}` : undefined,
  };
  const response = await service.send(sent);
  expect(response.status, response.body).toBe(201);
  expectNoReplay(response);
  adopt(model, service, response, { modelAt, state: firstState(layers, keep, states), ttlMs: ttl_s * 1_000 });
  if (sent.key !== undefined) model.sessions.at(-1)!.creation = { call: sent, response };
}

/** The call that created a session, once more: it makes no other one. */
async function createAgain(model: Model, service: Service, session: Session): Promise<void> {
  const { creation } = session;
  if (!creation || session.isForgotten || mayBeForgotten(model, session)) return;
  const response = await service.send(creation.call);
  if (isGone(model, session)) {
    expect(JSON.parse(response.body)).toMatchObject({ code: 'session_gone', applied: 'yes' });
    return;
  }
  expect([response.status, response.body]).toEqual([201, creation.response.body]);
  expect(response.headers['idempotency-replayed']).toBe('true');
  expect(response.headers.etag).toBe(creation.response.headers.etag);
}

/** Makes the call, and expects what the model says. */
async function expectCall(
  model: Model,
  service: Service,
  session: Session,
  sent: Call,
  operation: Operation,
  effect = effectOf(session, operation),
): Promise<void> {
  const response = await service.send(sent);
  if (isGone(model, session)) return expectGone(model, session, sent, response);
  if (sent.ifMatch !== undefined && sent.ifMatch !== '*' && sent.ifMatch !== session.etag) {
    const { t } = session.state;
    const members = { code: 'step_conflict', t, version: session.version };
    return expectProblem(session, sent, response, 412, members);
  }
  expectNoReplay(response);
  if (operation.kind === 'fork') {
    expect(response.status, response.body).toBe(201);
    adopt(model, service, response, session);
  } else if (operation.kind === 'delete') {
    expect([response.status, response.body]).toEqual([204, '']);
    session.deleted = { atMs: model.nowMs, call: sent };
  } else if (!change(model, service, session, sent, effect!, response)) return;
  if (sent.key !== undefined) session.keyedCalls.push({ call: sent, operation, effect, response });
}

async function retry(
  model: Model,
  service: Service,
  session: Session,
  { which, hasSameBody }: Extract<Move, { kind: 'retry' }>,
): Promise<void> {
  const index = Math.max(0, session.keyedCalls.length - 1 - which);
  const earlier = session.keyedCalls[index]!;
  // What a key stands for is forgotten when 64 others were used after it.
  if (session.keyedCalls.length - index > ANSWERS_MAX) {
    const { call, operation, effect } = earlier;
    // That of a fork still leads to the fork, as long as there is one.
    if (operation.kind === 'fork') return;
    return expectCall(model, service, session, call, operation, effect);
  }
  const other = requestOf(session, { kind: 'step', xSeed: 1_234_567 });
  const sent = hasSameBody ? earlier.call : { ...earlier.call, ...other };
  const response = await service.send(sent);
  const isDeletion = session.deleted !== undefined && session.deleted.call === sent;
  if (isDeletion && !mayBeForgotten(model, session)) {
    expect([response.status, response.headers['idempotency-replayed']]).toEqual([204, 'true']);
  } else if (isDeletion && response.status === 204) expect(session.isForgotten).toBe(false);
  else if (isGone(model, session)) expectGone(model, session, sent, response);
  else if (!hasSameBody) expectProblem(session, sent, response, 422, { code: 'idempotency_key_reused' });
  else {
    expect([response.status, response.body]).toEqual([earlier.response.status, earlier.response.body]);
    expect(response.headers['idempotency-replayed']).toBe('true');
    expect(response.headers.etag).toBe(earlier.response.headers.etag);
  }
}

async function concurrent(
  model: Model,
  service: Service,
  session: Session,
  { count, xSeed }: Extract<Move, { kind: 'concurrent' }>,
): Promise<void> {
  const operation = { kind: 'step', xSeed } as const;
  const sent = callOf(model, session, { operation, isKeyed: true, precondition: 'none' });
  const responses = await Promise.all(Array.from({ length: count }, () => service.send(sent)));
  if (isGone(model, session)) {
    for (const response of responses) if (response.status !== 409) expectGone(model, session, sent, response);
    return;
  }
  const [first, ...others] = responses.filter(({ status }) => status !== 409);
  const effect = effectOf(session, operation);
  change(model, service, session, sent, effect!, first!);
  for (const { body } of others) expect(body).toBe(first!.body);
  session.keyedCalls.push({ call: sent, operation, effect, response: first! });
  for (const response of responses) {
    if (response.status !== 409) continue;
    expectProblem(session, sent, response, 409, { code: 'idempotency_key_in_use' });
  }
}

async function read(model: Model, service: Service, session: Session): Promise<void> {
  await createAgain(model, service, session);
  const sent = { method: 'GET', path: `/v1/sessions/${session.id}` } as const;
  const response = await service.send(sent);
  if (isGone(model, session)) return expectGone(model, session, sent, response);
  expect(response.status, response.body).toBe(200);
  const { h, c, kept, ...info } = JSON.parse(response.body);
  expect(info).toEqual(infoOf(session, service));
  expect(kept).toEqual(session.state.past.map(({ t }) => t));
  expect(bytesOf(readStates(layersOf(session), { h, c }))).toEqual(bytesOf(session.state.states));
  expect(response.headers.etag).toBe(session.etag);
}

async function list(model: Model, service: Service, limit: number): Promise<void> {
  const listed = new Map<string, unknown>();
  for (let cursor = ''; ; ) {
    const response = await service.send({
      method: 'GET',
      path: `/v1/sessions?limit=${limit}${cursor}`,
    });
    expect(response.status, response.body).toBe(200);
    const { sessions, next } = JSON.parse(response.body);
    expect(sessions.length).toBeLessThanOrEqual(limit);
    for (const info of sessions) {
      expect(listed.has(info.id)).toBe(false);
      listed.set(info.id, info);
    }
    if (next === undefined) break;
    cursor = `&cursor=${next}`;
  }
  for (const session of model.sessions) {
    const expected = isGone(model, session) ? undefined : infoOf(session, service);
    expect(listed.get(session.id)).toEqual(expected);
  }
  expect([...listed.keys()]).toEqual([...listed.keys()].toSorted());
}
