// The contract of sessions as a plain model, and random commands that hold the service against it.
//
// The model is a list of plain objects, its states are computed by replay.ts; it knows nothing of
// records, revisions, slots or caches. After each command the answer must be the one the model has.
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { fc } from '../helpers/seed.ts';
import { type Effect, type State, apply, digestOf, firstState, randomWeights } from './replay.ts';

export const D = 2;
export const H = 3;
export const WEIGHTS = randomWeights(D, H, 7);
export const TOMBSTONE_MS = 3_600_000;
const ANSWERS_MAX = 64;

export interface CallAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** The service under test. */
export interface Service {
  readonly modelId: string;
  send(call: Call): Promise<CallAnswer>;
  /** Ends it, and starts another on the same store. */
  restart(): Promise<void>;
  /** Until nothing is due. */
  sweep(): Promise<void>;
  /** Of a store that can lose changes. */
  readonly losing?: { save(): void; goBack(): void } | undefined;
  /** Moves its clock. */
  setTime(nowMs: number): void;
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: string | undefined;
  readonly key?: string | undefined;
  readonly ifMatch?: string | undefined;
}

export interface Model {
  nowMs: number;
  keys: number;
  sessions: Session[];
  saved?: Session[];
}

interface Answered {
  readonly call: Call;
  readonly wanted: Wanted;
  readonly effect: Effect | undefined;
  readonly answer: CallAnswer;
}

interface Session {
  readonly id: string;
  readonly incarnation: string;
  readonly createdAtMs: number;
  readonly ttlMs: number;
  state: State;
  version: number;
  /** As it was answered: `"<incarnation>.<version>.<nonce>"`. */
  etag: string;
  expiresAtMs: number;
  /** Answered calls that had a key, oldest first. */
  readonly answered: Answered[];
  /** The call that created it, if it had a key. */
  creation?: { readonly call: Call; readonly answer: CallAnswer };
  deleted?: { readonly atMs: number; readonly call: Call };
  /** When it was gone for sure and the store had been swept. */
  buriedAtMs?: number;
  isForgotten: boolean;
}

const isGone = (model: Model, session: Session) =>
  session.deleted !== undefined || session.expiresAtMs <= model.nowMs;

const timeOf = (ms: number) => new Date(ms).toISOString();

function infoOf(session: Session, modelId: string) {
  const { id, state, version, ttlMs, createdAtMs, expiresAtMs } = session;
  return {
    id,
    model: modelId,
    N: 1,
    D,
    H,
    t: state.t,
    version,
    digest: digestOf(state),
    ttl_s: ttlMs / 1_000,
    keep: state.keep,
    created_at: timeOf(createdAtMs),
    expires_at: timeOf(expiresAtMs),
  };
}

// Commands. `at` chooses a session, `…Seed` the numbers.

const random32 = (seed: number, count: number) =>
  Float32Array.from({ length: count }, (_, k) => {
    const hash = createHash('sha256').update(`${seed}/${k}`).digest();
    return hash.readInt32LE(0) / 2 ** 30;
  });

type Precondition = 'none' | 'fresh' | 'stale' | 'other' | 'any';

type Wanted =
  | { readonly kind: 'step'; readonly xSeed: number }
  | { readonly kind: 'sequence'; readonly xSeed: number; readonly T: number }
  | { readonly kind: 'put'; readonly hSeed: number; readonly t: number | undefined }
  /** So many steps back. */
  | { readonly kind: 'rewind'; readonly back: number }
  | { readonly kind: 'fork' }
  | { readonly kind: 'delete' };

export type Move =
  | {
      readonly kind: 'create';
      readonly keep: number;
      readonly ttl_s: number;
      readonly hSeed: number;
    }
  | {
      readonly kind: 'call';
      readonly at: number;
      readonly wanted: Wanted;
      readonly isKeyed: boolean;
      readonly precondition: Precondition;
    }
  /** One of the last calls made with a key, once more, with the same body or another. */
  | {
      readonly kind: 'retry';
      readonly at: number;
      readonly which: number;
      readonly isSame: boolean;
    }
  /** The same call from several clients at once. */
  | { readonly kind: 'atOnce'; readonly at: number; readonly count: number; readonly xSeed: number }
  /** So many steps with a key each that earlier keys are forgotten. */
  | { readonly kind: 'burst'; readonly at: number; readonly count: number }
  | { readonly kind: 'read'; readonly at: number }
  | { readonly kind: 'list'; readonly limit: number }
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'restart' }
  /** The store as it is now, and back to it: what came between is lost. */
  | { readonly kind: 'save' }
  | { readonly kind: 'goBack' };

const at = fc.nat(7);
const seed = fc.nat(1_000);
const call = fc.record({
  kind: fc.constant('call' as const),
  at,
  isKeyed: fc.boolean(),
  precondition: fc.oneof(
    { weight: 3, arbitrary: fc.constant<Precondition>('none') },
    { weight: 4, arbitrary: fc.constantFrom<Precondition>('fresh', 'stale', 'other', 'any') },
  ),
  wanted: fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('step' as const), xSeed: seed }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('sequence' as const),
        xSeed: seed,
        T: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        hSeed: seed,
        t: fc.option(fc.nat(5), { nil: undefined }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('rewind' as const), back: fc.nat(4) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('fork' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const) }) },
  ),
});

/**
 * @param restartWeight of 100 commands so many restart the service, about
 * @param losses and so many save the store, or take it back to what was saved
 */
export function movesOf(restartWeight: number, losses = 0): fc.Arbitrary<Move> {
  return fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        kind: fc.constant('create' as const),
        keep: fc.constantFrom(0, 1, 3),
        ttl_s: fc.constantFrom(10, 100, 100_000),
        hSeed: fc.nat(3),
      }),
    },
    { weight: 50, arbitrary: call },
    {
      weight: 15,
      arbitrary: fc.record({
        kind: fc.constant('retry' as const),
        at,
        which: fc.oneof(fc.nat(3), fc.nat(ANSWERS_MAX + 1)),
        isSame: fc.constantFrom(true, true, false),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('atOnce' as const),
        at,
        count: fc.integer({ min: 2, max: 4 }),
        xSeed: seed,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('burst' as const),
        at,
        count: fc.constantFrom(5, ANSWERS_MAX - 1, ANSWERS_MAX),
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('read' as const), at }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('list' as const),
        limit: fc.constantFrom(1, 3, 1_000),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('wait' as const),
        seconds: fc.constantFrom(0.5, 9, 11, 60, 3_000, 4_000),
      }),
    },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('sweep' as const) }) },
    { weight: restartWeight, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
    { weight: losses, arbitrary: fc.record({ kind: fc.constant('save' as const) }) },
    { weight: losses, arbitrary: fc.record({ kind: fc.constant('goBack' as const) }) },
  );
}

/** One move, made by the service and by the model. */
export class Command implements fc.AsyncCommand<Model, Service> {
  readonly #move: Move;

  constructor(move: Move) {
    this.#move = move;
  }

  check({ sessions }: Model): boolean {
    const move = this.#move;
    if (!('at' in move)) return true;
    const session = sessions[move.at % sessions.length];
    return session !== undefined && (move.kind !== 'retry' || session.answered.length > 0);
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
        return writeTombstone(model);
      case 'restart':
        return service.restart();
      case 'list':
        return list(model, service, move.limit);
      case 'save':
        service.losing!.save();
        model.saved = structuredClone(model.sessions);
        return;
      case 'goBack':
        if (!model.saved) return;
        service.losing!.goBack();
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
      const made = callOf(model, session, move);
      return expectCall(model, service, session, made, move.wanted);
    }
    case 'retry':
      return retry(model, service, session, move);
    case 'atOnce':
      return atOnce(model, service, session, move);
    case 'burst':
      for (let k = 0; k < move.count; k++) {
        const wanted = { kind: 'step', xSeed: k } as const;
        const made = callOf(model, session, { wanted, isKeyed: true, precondition: 'none' });
        await expectCall(model, service, session, made, wanted);
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
  const made: Call = {
    method: 'POST',
    path: '/v1/sessions',
    body: JSON.stringify(body),
    // Half of them.
    key: hSeed % 2 === 1 ? `key-${model.keys++}` : undefined,
  };
  const answer = await service.send(made);
  expect(answer.status, answer.body).toBe(201);
  expectNoReplay(answer);
  adopt(model, service, answer, firstState(H, keep, h), ttl_s * 1_000);
  if (made.key !== undefined) model.sessions.at(-1)!.creation = { call: made, answer };
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

/** A new session, or a fork. */
function adopt(
  model: Model,
  { modelId }: Service,
  answer: CallAnswer,
  state: State,
  ttlMs: number,
): void {
  const info = JSON.parse(answer.body);
  const etag = String(answer.headers.etag);
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
    answered: [],
    isForgotten: false,
  };
  expect(info).toEqual(infoOf(session, modelId));
  expect(incarnation).toBeDefined();
  expect(answer.headers.location).toBe(`/v1/sessions/${session.id}`);
  for (const other of model.sessions) {
    expect([session.id, session.incarnation]).not.toEqual([other.id, other.incarnation]);
  }
  model.sessions.push(session);
}

function callOf(
  model: Model,
  session: Session,
  { wanted, isKeyed, precondition }: Omit<Extract<Move, { kind: 'call' }>, 'kind' | 'at'>,
): Call {
  return {
    ...requestOf(session, wanted),
    key: isKeyed ? `key-${model.keys++}` : undefined,
    ifMatch: tagOf(model, session, precondition),
  };
}

function requestOf({ id, state }: Session, wanted: Wanted): Pick<Call, 'method' | 'path' | 'body'> {
  const base = `/v1/sessions/${id}`;
  const post = (path: string, body: unknown) =>
    ({ method: 'POST', path, body: JSON.stringify(body) }) as const;
  switch (wanted.kind) {
    case 'step':
      return post('/v1/step', { session: id, x: [[...random32(wanted.xSeed, D)]] });
    case 'sequence': {
      const x = Array.from({ length: wanted.T }, (_, t) => [[...random32(wanted.xSeed + t, D)]]);
      return post('/v1/sequence', { session: id, x });
    }
    case 'put': {
      const body = JSON.stringify({ h: [[...random32(wanted.hSeed, H)]], t: wanted.t });
      return { method: 'PUT', path: `${base}/state`, body };
    }
    case 'rewind':
      return post(`${base}/rewind`, { t: Math.max(0, state.t - wanted.back) });
    case 'fork':
      return { method: 'POST', path: `${base}/fork` };
    case 'delete':
      return { method: 'DELETE', path: base };
  }
}

function effectOf({ state }: Session, wanted: Wanted): Effect | undefined {
  switch (wanted.kind) {
    case 'step':
      return { kind: 'advance', xs: [random32(wanted.xSeed, D)] };
    case 'sequence': {
      const xs = Array.from({ length: wanted.T }, (_, t) => random32(wanted.xSeed + t, D));
      return { kind: 'advance', xs };
    }
    case 'put':
      return { kind: 'put', h: random32(wanted.hSeed, H), t: wanted.t };
    case 'rewind':
      return { kind: 'rewind', t: Math.max(0, state.t - wanted.back) };
    default:
      return undefined;
  }
}

function tagOf(model: Model, session: Session, precondition: Precondition): string | undefined {
  switch (precondition) {
    case 'none':
      return undefined;
    case 'any':
      return '*';
    case 'fresh':
      return session.etag;
    case 'stale':
      // A version is no identity: the nonce is missing.
      return `"${session.incarnation}.${session.version}"`;
    case 'other':
      return `"${model.sessions.find((other) => other !== session)?.incarnation ?? 'none'}.0"`;
  }
}

/** Makes the call, and expects what the model says. */
async function expectCall(
  model: Model,
  service: Service,
  session: Session,
  made: Call,
  wanted: Wanted,
  effect = effectOf(session, wanted),
): Promise<void> {
  const answer = await service.send(made);
  if (isGone(model, session)) return expectGone(model, session, made, answer);
  if (made.ifMatch !== undefined && made.ifMatch !== '*' && made.ifMatch !== session.etag) {
    const { t } = session.state;
    const members = { code: 'step_conflict', t, version: session.version };
    return expectProblem(session, made, answer, 412, members);
  }
  expectNoReplay(answer);
  if (wanted.kind === 'fork') {
    expect(answer.status, answer.body).toBe(201);
    adopt(model, service, answer, session.state, session.ttlMs);
  } else if (wanted.kind === 'delete') {
    expect([answer.status, answer.body]).toEqual([204, '']);
    session.deleted = { atMs: model.nowMs, call: made };
  } else if (!change(model, service, session, made, effect!, answer)) return;
  if (made.key !== undefined) session.answered.push({ call: made, wanted, effect, answer });
}

/** @returns whether it was one */
function change(
  model: Model,
  { modelId }: Service,
  session: Session,
  made: Call,
  effect: Effect,
  answer: CallAnswer,
): boolean {
  const after = apply(WEIGHTS, session.state, effect);
  if (!after) {
    const kept = session.state.past.map(({ t }) => t);
    expectProblem(session, made, answer, 422, { code: 'state_not_kept', kept });
    return false;
  }
  session.state = after;
  session.version++;
  session.expiresAtMs = model.nowMs + session.ttlMs;
  expect(answer.status, answer.body).toBe(200);
  const { incarnation, version } = session;
  expect(answer.headers.etag).toMatch(new RegExp(`^"${incarnation}\\.${version}\\.[\\w-]{6,}"$`));
  session.etag = String(answer.headers.etag);
  expect(answer.headers['x-session-id']).toBe(session.id);
  const info = infoOf(session, modelId);
  if (effect.kind !== 'advance') {
    expect(JSON.parse(answer.body)).toEqual(info);
    return true;
  }
  const { h, hs, session: mark } = JSON.parse(answer.body);
  const { id, t, digest, expires_at } = info;
  expect(mark).toEqual({ id, t, version, digest, expires_at });
  expectBits(h ?? hs.at(-1), after.h);
  return true;
}

async function retry(
  model: Model,
  service: Service,
  session: Session,
  { which, isSame }: Extract<Move, { kind: 'retry' }>,
): Promise<void> {
  const index = Math.max(0, session.answered.length - 1 - which);
  const earlier = session.answered[index]!;
  // What a key stands for is forgotten when 64 others were used after it.
  if (session.answered.length - index > ANSWERS_MAX) {
    const { call, wanted, effect } = earlier;
    // That of a fork still leads to the fork, as long as there is one.
    if (wanted.kind === 'fork') return;
    return expectCall(model, service, session, call, wanted, effect);
  }
  const other = requestOf(session, { kind: 'step', xSeed: 1_234_567 });
  const made = isSame ? earlier.call : { ...earlier.call, ...other };
  const answer = await service.send(made);
  const isDeletion = session.deleted !== undefined && session.deleted.call === made;
  if (isDeletion && !mayBeForgotten(model, session)) {
    expect([answer.status, answer.headers['idempotency-replayed']]).toEqual([204, 'true']);
  } else if (isDeletion && answer.status === 204) expect(session.isForgotten).toBe(false);
  else if (isGone(model, session)) expectGone(model, session, made, answer);
  else if (!isSame) expectProblem(session, made, answer, 422, { code: 'idempotency_key_reused' });
  else {
    expect([answer.status, answer.body]).toEqual([earlier.answer.status, earlier.answer.body]);
    expect(answer.headers['idempotency-replayed']).toBe('true');
    expect(answer.headers.etag).toBe(earlier.answer.headers.etag);
  }
}

async function atOnce(
  model: Model,
  service: Service,
  session: Session,
  { count, xSeed }: Extract<Move, { kind: 'atOnce' }>,
): Promise<void> {
  const wanted = { kind: 'step', xSeed } as const;
  const made = callOf(model, session, { wanted, isKeyed: true, precondition: 'none' });
  const answers = await Promise.all(Array.from({ length: count }, () => service.send(made)));
  if (isGone(model, session)) {
    for (const answer of answers) if (answer.status !== 409) expectGone(model, session, made, answer);
    return;
  }
  const [first, ...others] = answers.filter(({ status }) => status !== 409);
  const effect = effectOf(session, wanted);
  change(model, service, session, made, effect!, first!);
  for (const { body } of others) expect(body).toBe(first!.body);
  session.answered.push({ call: made, wanted, effect, answer: first! });
  for (const answer of answers) {
    if (answer.status !== 409) continue;
    expectProblem(session, made, answer, 409, { code: 'idempotency_key_in_use' });
  }
}

async function read(model: Model, service: Service, session: Session): Promise<void> {
  await createAgain(model, service, session);
  const made = { method: 'GET', path: `/v1/sessions/${session.id}` } as const;
  const answer = await service.send(made);
  if (isGone(model, session)) return expectGone(model, session, made, answer);
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

/** What is gone when the store is swept has become a tombstone; old tombstones are forgotten. */
function writeTombstone(model: Model): void {
  for (const session of model.sessions) {
    if (!isGone(model, session)) continue;
    session.buriedAtMs ??= session.deleted?.atMs ?? model.nowMs;
    if (model.nowMs >= session.buriedAtMs + TOMBSTONE_MS) session.isForgotten = true;
  }
}

/** The service sweeps by itself now and then: a tombstone may be forgotten as soon as it is old. */
function mayBeForgotten({ nowMs }: Model, { deleted, expiresAtMs }: Session): boolean {
  return nowMs >= (deleted?.atMs ?? expiresAtMs) + TOMBSTONE_MS;
}

function expectGone(model: Model, session: Session, made: Call, answer: CallAnswer): void {
  if (session.isForgotten || (mayBeForgotten(model, session) && answer.status === 404)) {
    session.isForgotten = true;
    return expectProblem(session, made, answer, 404, { code: 'session_not_found' });
  }
  const { deleted, expiresAtMs, state } = session;
  return expectProblem(session, made, answer, 410, {
    code: 'session_gone',
    reason: deleted ? 'deleted' : 'expired',
    at: timeOf(deleted?.atMs ?? expiresAtMs),
    t: state.t,
  });
}

function expectProblem(
  session: Session,
  made: Call,
  answer: CallAnswer,
  status: number,
  members: object,
): void {
  const problem = JSON.parse(answer.body);
  expect(problem).toMatchObject({ status, ...members });
  expect(answer.status).toBe(status);
  expectNoReplay(answer);
  const wasApplied = session.answered.some(({ call }) => call === made);
  if (made.key === undefined) expect(problem.applied).toBe('no');
  else expect(wasApplied ? ['unknown', 'yes'] : ['no', 'unknown']).toContain(problem.applied);
}

function expectNoReplay({ headers }: CallAnswer): void {
  expect(headers['idempotency-replayed']).toBeUndefined();
}

function expectBits(rows: readonly number[][], h: Float32Array): void {
  expect([...new Uint32Array(Float32Array.from(rows.flat()).buffer)]).toEqual([
    ...new Uint32Array(h.buffer, h.byteOffset, h.length),
  ]);
}
