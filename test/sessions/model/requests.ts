// The request that an operation is sent as, and its effect on the states.
import { pseudoRandom } from '../../../src/wasm/pseudo-random.ts';
import { requestOf as requestOfEffect, sequenceOf } from '../operations.ts';
import type { Effect } from '../replay.ts';
import { type Row, randomRow, randomStates } from '../states.ts';
import { type Call, type Model, type Operation, type Session, layersOf } from './model.ts';
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

export function requestOf(session: Session, operation: Operation): Pick<Call, 'method' | 'path' | 'body'> {
  const { id } = session;
  switch (operation.kind) {
    case 'sequence':
      return sequenceOf(rowsOf(session, operation), id);
    case 'fork':
      return requestOfEffect(operation, id);
    case 'delete':
      return { method: 'DELETE', path: `/v1/sessions/${id}` };
    default:
      return requestOfEffect(effectOf(session, operation)!, id);
  }
}

export function effectOf(session: Session, operation: Operation): Effect | undefined {
  const layers = layersOf(session);
  switch (operation.kind) {
    case 'step':
      return { kind: 'advance', xs: [randomRow(layers, pseudoRandom(operation.xSeed))] };
    case 'sequence':
      return { kind: 'advance', xs: rowsOf(session, operation) };
    case 'put': {
      const states = randomStates(layers, pseudoRandom(operation.seed));
      return { kind: 'put', states, t: operation.t };
    }
    case 'rewind':
      return { kind: 'rewind', t: Math.max(0, session.state.t - operation.back) };
    default:
      return undefined;
  }
}

function rowsOf(session: Session, { xSeed, T }: Extract<Operation, { kind: 'sequence' }>): Row[] {
  return Array.from({ length: T }, (_, t) => randomRow(layersOf(session), pseudoRandom(xSeed + t)));
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
