// The request that an operation is sent as, and its effect on the state.
import { createHash } from 'node:crypto';
import type { Effect } from '../replay.ts';
import { type Call, D, H, type Model, type Operation, type Session } from './model.ts';
import type { Move, Precondition } from './moves.ts';

export function callOf(
  model: Model,
  session: Session,
  { operation, isKeyed, precondition }: Omit<Extract<Move, { kind: 'call' }>, 'kind' | 'at'>,
): Call {
  return {
    ...requestOf(session, operation),
    key: isKeyed ? `key-${model.keys++}` : undefined,
    ifMatch: tagOf(model, session, precondition),
  };
}

export function requestOf({ id, state }: Session, operation: Operation): Pick<Call, 'method' | 'path' | 'body'> {
  const base = `/v1/sessions/${id}`;
  const post = (path: string, body: unknown) =>
    ({ method: 'POST', path, body: JSON.stringify(body) }) as const;
  switch (operation.kind) {
    case 'step':
      return post('/v1/step', { session: id, x: [[...random32(operation.xSeed, D)]] });
    case 'sequence': {
      const x = Array.from({ length: operation.T }, (_, t) => [[...random32(operation.xSeed + t, D)]]);
      return post('/v1/sequence', { session: id, x });
    }
    case 'put': {
      const body = JSON.stringify({ h: [[...random32(operation.hSeed, H)]], t: operation.t });
      return { method: 'PUT', path: `${base}/state`, body };
    }
    case 'rewind':
      return post(`${base}/rewind`, { t: Math.max(0, state.t - operation.back) });
    case 'fork':
      return { method: 'POST', path: `${base}/fork` };
    case 'delete':
      return { method: 'DELETE', path: base };
  }
}

export function effectOf({ state }: Session, operation: Operation): Effect | undefined {
  switch (operation.kind) {
    case 'step':
      return { kind: 'advance', xs: [random32(operation.xSeed, D)] };
    case 'sequence': {
      const xs = Array.from({ length: operation.T }, (_, t) => random32(operation.xSeed + t, D));
      return { kind: 'advance', xs };
    }
    case 'put':
      return { kind: 'put', h: random32(operation.hSeed, H), t: operation.t };
    case 'rewind':
      return { kind: 'rewind', t: Math.max(0, state.t - operation.back) };
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

export const random32 = (seed: number, count: number) =>
  Float32Array.from({ length: count }, (_, k) => {
    const hash = createHash('sha256').update(`${seed}/${k}`).digest();
    return hash.readInt32LE(0) / 2 ** 30;
  });
