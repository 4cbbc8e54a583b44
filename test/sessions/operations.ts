// Random calls on a session, and the requests that make them.
import { nested } from '../helpers/recurrence.ts';
import type { Sent } from './client.ts';
import type { Effect } from './replay.ts';

export const D = 3;
export const H = 24;

/** What a random call does. */
export type Operation = Effect | { readonly kind: 'fork' };

/** @param t of the session, which a rewind goes back from */
export function chooseOperation(random: () => number, t: number): Operation {
  const x = () => Float32Array.from({ length: D }, () => random() * 2);
  const dice = (random() + 1) / 2;
  if (dice < 0.6) return { kind: 'advance', xs: [x()] };
  if (dice < 0.78) return { kind: 'advance', xs: [x(), x(), x()] };
  if (dice < 0.85) {
    const h = Float32Array.from({ length: H }, random);
    return { kind: 'put', h, t: random() < 0 ? undefined : Math.floor((random() + 1) * 500) };
  }
  if (dice < 0.95) return { kind: 'rewind', t: Math.max(0, t - Math.floor((random() + 1) * 2)) };
  return { kind: 'fork' };
}

export function requestOf(operation: Operation, id: string): Sent {
  const base = `/v1/sessions/${id}`;
  switch (operation.kind) {
    case 'advance': {
      const x = operation.xs.map((row) => [[...row]]);
      return x.length === 1
        ? { method: 'POST', path: '/v1/step', body: JSON.stringify({ session: id, x: x[0] }) }
        : { method: 'POST', path: '/v1/sequence', body: JSON.stringify({ session: id, x }) };
    }
    case 'put': {
      const body = JSON.stringify({ h: nested(operation.h, [1, H]), t: operation.t });
      return { method: 'PUT', path: `${base}/state`, body };
    }
    case 'rewind':
      return { method: 'POST', path: `${base}/rewind`, body: JSON.stringify({ t: operation.t }) };
    case 'fork':
      return { method: 'POST', path: `${base}/fork` };
  }
}
