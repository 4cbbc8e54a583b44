// What this service does otherwise than a graph says, in sentences.
import { quote } from '../../../codec/safetensors/quote.ts';
import type { GraphOutput } from './graph.ts';
import { backwards } from './outputs.ts';
import { type Path, type Signal, endsRecurrent } from './value.ts';

export function notesOn(path: Path, outputs: readonly GraphOutput[]): string[] {
  const { lengths } = path;
  return [
    ...outputs.flatMap(({ name, value }) => (value.kind === 'signal' ? noteOnOutput(name, value, path) : [])),
    ...notesOnStates(path),
    ...(lengths === undefined
      ? []
      : [`The input ${quote(lengths)} is lengths of a request; beyond the length of a row all outputs are 0.`]),
  ];
}

/** None of states and all steps of the last layers, which are returned as they are. */
function noteOnOutput(name: string, { path: own, moment, direction }: Signal, path: Path): string[] {
  const output = `The output ${quote(name)}`;
  if (moment === 'steps') {
    const lastRecurrent = backwards(path).find(endsRecurrent);
    const isReturned = direction === undefined && (own === path || own === lastRecurrent);
    return isReturned ? [] : [`${output} is a part of what the layers return, which the service does not return alone.`];
  }
  if (moment === 'cell' || (moment === 'end' && endsRecurrent(own))) return [];
  if (moment === 'end') return [`${output} is y of the answer, made of the last states; the service returns every step too, as ys.`];
  const steps = endsRecurrent(own) ? 'hs' : 'ys';
  const other = endsRecurrent(own) || isEnd(moment, own) ? '' : ' y of the answer is another, made of the last states.';
  return [`${output} is of one step; the service returns every step, of which it is the ${moment}, in ${steps}.${other}`];
}

/** Whether the last recurrent layer ends with this step in all of its directions, so that it is the last state. */
function isEnd(moment: 'first' | 'last', path: Path): boolean {
  const direction = backwards(path).find(endsRecurrent)?.layer.direction ?? 'forward';
  return direction === (moment === 'last' ? 'forward' : 'reverse');
}

function notesOnStates(path: Path): string[] {
  const inputs = new Map<string, Set<string>>();
  for (const { states = [] } of backwards(path).toReversed()) {
    for (const { input, state } of states) inputs.set(input, (inputs.get(input) ?? new Set()).add(state));
  }
  return [...inputs].map(([input, states]) => {
    const names = [...states].join(' and ');
    return `The input ${quote(input)} is ${names} of a request or a session, zeros if it is absent.`;
  });
}
