// Random calls on a session, and the requests that make them.
import type { Layer } from '../../src/layers.ts';
import type { Sent } from './client.ts';
import type { Effect } from './replay.ts';
import { type Row, randomRow, randomStates, rowJson, statesJson } from './states.ts';

/** What a random call does. */
export type Operation = Effect | { readonly kind: 'fork' };

/** @param t of the session, which a rewind goes back from */
export function chooseOperation(layers: readonly Layer[], random: () => number, t: number): Operation {
  const x = () => randomRow(layers, random);
  const dice = (random() + 1) / 2;
  if (dice < 0.6) return { kind: 'advance', xs: [x()] };
  if (dice < 0.78) return { kind: 'advance', xs: [x(), x(), x()] };
  if (dice < 0.85) {
    const states = randomStates(layers, random);
    return { kind: 'put', states, t: random() < 0 ? undefined : Math.floor((random() + 1) * 500) };
  }
  if (dice < 0.95) return { kind: 'rewind', t: Math.max(0, t - Math.floor((random() + 1) * 2)) };
  return { kind: 'fork' };
}

/** A step if one row is given, else a sequence. */
export function requestOf(operation: Operation, id: string): Sent {
  const base = `/v1/sessions/${id}`;
  switch (operation.kind) {
    case 'advance': {
      const [first, ...more] = operation.xs;
      if (more.length > 0) return sequenceOf(operation.xs, id);
      return { method: 'POST', path: '/v1/step', body: JSON.stringify({ session: id, x: rowJson(first!) }) };
    }
    case 'put': {
      const body = JSON.stringify({ ...statesJson(operation.states), t: operation.t });
      return { method: 'PUT', path: `${base}/state`, body };
    }
    case 'rewind':
      return { method: 'POST', path: `${base}/rewind`, body: JSON.stringify({ t: operation.t }) };
    case 'fork':
      return { method: 'POST', path: `${base}/fork` };
  }
}

export function sequenceOf(xs: readonly Row[], id: string): Sent {
  return { method: 'POST', path: '/v1/sequence', body: JSON.stringify({ session: id, x: xs.map(rowJson) }) };
}
