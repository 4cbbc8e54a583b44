// A command: one random move, made by the service and by the model, whose answers must be the same.
import { expect } from 'vitest';
import type { fc } from '../../helpers/seed.ts';
import { firstState } from '../replay.ts';
import { adopt, change, expectBits, expectGone, expectNoReplay, expectProblem } from './answers.ts';
import {
  ANSWERS_MAX,
  type Call,
  H,
  type Model,
  type Operation,
  type Service,
  type Session,
  infoOf,
  isGone,
  mayBeForgotten,
  sweepModel,
} from './model.ts';
import type { Move } from './moves.ts';
import { callOf, effectOf, random32, requestOf } from './requests.ts';

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
  { keep, ttl_s, hSeed }: Extract<Move, { kind: 'create' }>,
): Promise<void> {
  // 0 stands for the zeros that are taken if h is left out.
  const h = hSeed === 0 ? new Float32Array(H) : random32(hSeed, H);
  const body = { model: service.modelId, keep, ttl_s, ...(hSeed > 0 && { h: [[...h]] }) };
  const sent: Call = {
    method: 'POST',
    path: '/v1/sessions',
    body: JSON.stringify(body),
    // Half of them.
    key: hSeed % 2 === 1 ? `key-${model.keys++}` : undefined,
  };
  const answer = await service.send(sent);
  expect(answer.status, answer.body).toBe(201);
  expectNoReplay(answer);
  adopt(model, service, answer, firstState(H, keep, h), ttl_s * 1_000);
  if (sent.key !== undefined) model.sessions.at(-1)!.creation = { call: sent, answer };
}

/** The call that created a session, once more: it makes no other one. */
async function createAgain(model: Model, service: Service, session: Session): Promise<void> {
  const { creation } = session;
  if (!creation || session.isForgotten || mayBeForgotten(model, session)) return;
  const answer = await service.send(creation.call);
  if (isGone(model, session)) {
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'session_gone', applied: 'yes' });
    return;
  }
  expect([answer.status, answer.body]).toEqual([201, creation.answer.body]);
  expect(answer.headers['idempotency-replayed']).toBe('true');
  expect(answer.headers.etag).toBe(creation.answer.headers.etag);
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
  const answer = await service.send(sent);
  if (isGone(model, session)) return expectGone(model, session, sent, answer);
  if (sent.ifMatch !== undefined && sent.ifMatch !== '*' && sent.ifMatch !== session.etag) {
    const { t } = session.state;
    const members = { code: 'step_conflict', t, version: session.version };
    return expectProblem(session, sent, answer, 412, members);
  }
  expectNoReplay(answer);
  if (operation.kind === 'fork') {
    expect(answer.status, answer.body).toBe(201);
    adopt(model, service, answer, session.state, session.ttlMs);
  } else if (operation.kind === 'delete') {
    expect([answer.status, answer.body]).toEqual([204, '']);
    session.deleted = { atMs: model.nowMs, call: sent };
  } else if (!change(model, service, session, sent, effect!, answer)) return;
  if (sent.key !== undefined) session.keyedCalls.push({ call: sent, operation, effect, answer });
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
  const answer = await service.send(sent);
  const isDeletion = session.deleted !== undefined && session.deleted.call === sent;
  if (isDeletion && !mayBeForgotten(model, session)) {
    expect([answer.status, answer.headers['idempotency-replayed']]).toEqual([204, 'true']);
  } else if (isDeletion && answer.status === 204) expect(session.isForgotten).toBe(false);
  else if (isGone(model, session)) expectGone(model, session, sent, answer);
  else if (!hasSameBody) expectProblem(session, sent, answer, 422, { code: 'idempotency_key_reused' });
  else {
    expect([answer.status, answer.body]).toEqual([earlier.answer.status, earlier.answer.body]);
    expect(answer.headers['idempotency-replayed']).toBe('true');
    expect(answer.headers.etag).toBe(earlier.answer.headers.etag);
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
  const answers = await Promise.all(Array.from({ length: count }, () => service.send(sent)));
  if (isGone(model, session)) {
    for (const answer of answers) if (answer.status !== 409) expectGone(model, session, sent, answer);
    return;
  }
  const [first, ...others] = answers.filter(({ status }) => status !== 409);
  const effect = effectOf(session, operation);
  change(model, service, session, sent, effect!, first!);
  for (const { body } of others) expect(body).toBe(first!.body);
  session.keyedCalls.push({ call: sent, operation, effect, answer: first! });
  for (const answer of answers) {
    if (answer.status !== 409) continue;
    expectProblem(session, sent, answer, 409, { code: 'idempotency_key_in_use' });
  }
}

async function read(model: Model, service: Service, session: Session): Promise<void> {
  await createAgain(model, service, session);
  const sent = { method: 'GET', path: `/v1/sessions/${session.id}` } as const;
  const answer = await service.send(sent);
  if (isGone(model, session)) return expectGone(model, session, sent, answer);
  expect(answer.status, answer.body).toBe(200);
  const { h, kept, ...info } = JSON.parse(answer.body);
  expect(info).toEqual(infoOf(session, service.modelId));
  expect(kept).toEqual(session.state.past.map(({ t }) => t));
  expectBits(h, session.state.h);
  expect(answer.headers.etag).toBe(session.etag);
}

async function list(model: Model, service: Service, limit: number): Promise<void> {
  const listed = new Map<string, unknown>();
  for (let cursor = ''; ; ) {
    const answer = await service.send({
      method: 'GET',
      path: `/v1/sessions?limit=${limit}${cursor}`,
    });
    expect(answer.status, answer.body).toBe(200);
    const { sessions, next } = JSON.parse(answer.body);
    expect(sessions.length).toBeLessThanOrEqual(limit);
    for (const info of sessions) {
      expect(listed.has(info.id)).toBe(false);
      listed.set(info.id, info);
    }
    if (next === undefined) break;
    cursor = `&cursor=${next}`;
  }
  for (const session of model.sessions) {
    const expected = isGone(model, session) ? undefined : infoOf(session, service.modelId);
    expect(listed.get(session.id)).toEqual(expected);
  }
  expect([...listed.keys()]).toEqual([...listed.keys()].toSorted());
}
