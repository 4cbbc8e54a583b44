// The contract of sessions as a plain model: a list of objects whose states are computed by replay.ts. It
// knows nothing of records, revisions, slots or caches.
import { MODELS } from '../models.ts';
import type { Effect, State } from '../replay.ts';
import { NUMERICS } from '../../../src/wasm/numerics.ts';
import { digestOf } from '../states.ts';

export const TOMBSTONE_MS = 3_600_000;
/** Idempotency keys that a session remembers. */
export const ANSWERS_MAX = 64;

export interface CallAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** The service under test. */
export interface Service {
  /** Of MODELS. */
  readonly modelIds: readonly string[];
  send(call: Call): Promise<CallAnswer>;
  /** Closes it, and starts another on the same store. */
  restart(): Promise<void>;
  /** Replaces expired sessions by tombstones until none is due. */
  sweep(): Promise<void>;
  /** Where the store can lose changes. */
  readonly losing?: { save(): void; restore(): void } | undefined;
  /** Sets its clock. */
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

export type Operation =
  | { readonly kind: 'step'; readonly xSeed: number }
  | { readonly kind: 'sequence'; readonly xSeed: number; readonly T: number }
  | { readonly kind: 'put'; readonly seed: number; readonly t: number | undefined }
  /** So many steps back. */
  | { readonly kind: 'rewind'; readonly back: number }
  | { readonly kind: 'fork' }
  | { readonly kind: 'delete' };

export interface KeyedCall {
  readonly call: Call;
  readonly operation: Operation;
  readonly effect: Effect | undefined;
  readonly response: CallAnswer;
}

export interface Session {
  readonly id: string;
  /** Index in MODELS. */
  readonly modelAt: number;
  readonly incarnation: string;
  readonly createdAtMs: number;
  readonly ttlMs: number;
  state: State;
  version: number;
  /** From the last answer: `"<incarnation>.<version>.<nonce>"`. */
  etag: string;
  expiresAtMs: number;
  /** Calls with an idempotency key that succeeded, oldest first. */
  readonly keyedCalls: KeyedCall[];
  /** The call that created it, if it had a key. */
  creation?: { readonly call: Call; readonly response: CallAnswer };
  deleted?: { readonly atMs: number; readonly call: Call };
  /** When it became a tombstone: the first sweep after its end. */
  tombstoneAtMs?: number;
  isForgotten: boolean;
}

export const isGone = (model: Model, session: Session) =>
  session.deleted !== undefined || session.expiresAtMs <= model.nowMs;

export const timeOf = (ms: number) => new Date(ms).toISOString();

export const layersOf = ({ modelAt }: Pick<Session, 'modelAt'>) => MODELS[modelAt]!.layers;

export function infoOf(session: Session, { modelIds }: Service) {
  const { id, modelAt, state, version, ttlMs, createdAtMs, expiresAtMs } = session;
  const { D, H } = MODELS[modelAt]!;
  return {
    id,
    model: modelIds[modelAt],
    N: 1,
    D,
    H,
    t: state.t,
    version,
    digest: digestOf(state.states),
    numerics: NUMERICS,
    ttl_s: ttlMs / 1_000,
    keep: state.keep,
    created_at: timeOf(createdAtMs),
    expires_at: timeOf(expiresAtMs),
  };
}

/** The effect of a sweep: sessions that have ended become tombstones, old tombstones are erased. */
export function sweepModel(model: Model): void {
  for (const session of model.sessions) {
    if (!isGone(model, session)) continue;
    session.tombstoneAtMs ??= session.deleted?.atMs ?? model.nowMs;
    if (model.nowMs >= session.tombstoneAtMs + TOMBSTONE_MS) session.isForgotten = true;
  }
}

/** The service also sweeps periodically, so a tombstone may be erased as soon as it is old enough. */
export function mayBeForgotten({ nowMs }: Model, { deleted, expiresAtMs }: Session): boolean {
  return nowMs >= (deleted?.atMs ?? expiresAtMs) + TOMBSTONE_MS;
}
