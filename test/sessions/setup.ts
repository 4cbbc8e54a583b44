// Sessions on a store in this process, without the server around them. The model is never computed: each
// test says which state a step leads to.
import type { CarryoverError } from '../../src/errors.ts';
import type { Call, CallResult } from '../../src/sessions/call.ts';
import { expectIfMatch } from '../../src/sessions/precondition.ts';
import type { Session, SessionSpec } from '../../src/sessions/session.ts';
import { Sessions, type SessionsOptions } from '../../src/sessions/sessions.ts';
import { advanced } from '../../src/sessions/transitions.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';

const MODEL = { id: 'sha256:m', file: new Uint8Array(), createdAtMs: 0, isKept: true };

export const SPEC = {
  modelId: MODEL.id,
  N: 1,
  D: 1,
  H: 1,
  keep: 0,
  ttlMs: 1e6,
  state: new Float32Array(1),
} satisfies SessionSpec;

/** A store as it is where other processes use it, too. */
export class SharedStore extends MemoryStore {
  override readonly isShared = true;
}

/** The sessions of one process on `store`, at time 0. Several on one store are replicas. */
export async function sessionsOn(
  store: MemoryStore,
  options: Partial<SessionsOptions> = {},
): Promise<Sessions> {
  await store.models.put(MODEL);
  return new Sessions(store, {
    countMax: 100,
    cacheBytesMax: 1e6,
    waitingMax: 64,
    tombstoneMs: 1_000,
    numerics: 1,
    now: () => 0,
    ...options,
  });
}

export function callOf(more: Partial<Call> = {}): Call {
  return { lifetime: lifetimeOf(), ...more };
}

/** A call with an Idempotency-Key; the digest stands for its method, address and body. */
export function keyedCall(key: string, digest = key): Call {
  return callOf({ key: { key, digest } });
}

/**
 * One step of a session, in the order of SessionCompute.advance().
 *
 * @param nextState the state that the step computes, (N, H)
 * @param print awaited between the computation and the commit, as the answer is written then
 * @returns the session after the step
 */
export async function step(
  sessions: Sessions,
  id: string,
  call: Call,
  nextState: (session: Session) => Float32Array | Promise<Float32Array>,
  print?: Promise<void>,
): Promise<CallResult<Session>> {
  using change = await sessions.begin(id, call);
  return await change.retryOnConflict(async () => {
    const session = await change.load();
    if (change.replay) {
      const { before, metadata } = change.replayedSteps();
      const value = advanced(before, { state: await nextState(before), t: before.t + 1 }, metadata);
      change.expectSameBits(value);
      return { value, replayed: true };
    }
    expectIfMatch(session, call);
    const h = await nextState(session);
    const value = advanced(session, { state: h, t: session.t + 1 }, change.newMetadata(session));
    await print;
    await change.commitSteps(value);
    return { value, replayed: false };
  });
}

/** The code of the error of a call; undefined if it succeeded. */
export function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(
    () => undefined,
    (error: CarryoverError) => error.code,
  );
}
