// What the picture shows as calls to copy: the step, and the sequence of all steps up to it.
import type { SnippetCall } from '../snippets.ts';
import { nested } from './matrix.ts';
import { weightsAsJson } from './network.ts';
import type { State } from './steps.ts';
import type { Unrolled } from './unrolled.ts';

/** A command line has place for so much: the arguments of one program are bounded. */
const SEQUENCE_STEPS_MAX = 64;

/** @param index of the step that is shown */
export function callsOf({ network, steps, start }: Unrolled, index: number): SnippetCall[] {
  const step = steps[index];
  if (!step) return [];
  const weights = weightsAsJson(network);
  const first = Math.max(0, index + 1 - SEQUENCE_STEPS_MAX);
  const xs = steps.slice(first, index + 1).map(({ x }) => nested(x));
  return [
    { method: 'POST', path: '/v1/step', body: { weights, x: nested(step.x), ...stateAsJson(step.before), trace: true } },
    { method: 'POST', path: '/v1/sequence', body: { weights, x: xs, ...stateAsJson(first === 0 ? start : steps[first]!.before) } },
  ];
}

function stateAsJson({ h, c }: State): object {
  return { h: nested(h), ...(c && { c: nested(c) }) };
}
