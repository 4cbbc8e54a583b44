// The answer to a step or a sequence: which tensors it has, and in which form.
import type { TensorTree, Tensors } from '../../codec/json/segments.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import type { Output } from '../../engine/shapes.ts';
import type { TensorView } from '../../tensor.ts';

export const OUTPUTS = ['hs', 'h', 'c', 'ys', 'y'] as const satisfies readonly Output[];

const FURTHER: readonly Output[] = ['c', 'ys', 'y'];

/**
 * The outputs that a request wants: all if it names none. hs stands for ys as well, and h for c and y, unless one of
 * those is named.
 */
export function wantedOutputs(named: readonly Output[] = OUTPUTS): ReadonlySet<Output> {
  if (named.some((output) => FURTHER.includes(output))) return new Set(named);
  const wanted: Output[] = [];
  if (named.includes('hs')) wanted.push('hs', 'ys');
  if (named.includes('h')) wanted.push('h', 'c', 'y');
  return new Set(wanted);
}

/**
 * h and c in the form in which requests have them: tensors if there is one recurrent layer in one direction, else
 * lists. Without c if no layer has one.
 */
export function statesOf({ states }: Pick<RecurrenceTensors, 'states'>): { h: TensorTree; c: TensorTree | undefined } {
  const first = states[0]!;
  if (states.length === 1) return { h: first.h, c: first.c };
  const hasC = states.some(({ c }) => c);
  return { h: states.map(({ h }) => h), c: hasC ? states.map(({ c }) => c ?? null) : undefined };
}

/** @param inAnswer the form of a tensor (T, N, H) in the answer */
export function traceOf(
  { trace, gates }: Pick<RecurrenceTensors, 'trace' | 'gates'>,
  inAnswer: (view: TensorView) => TensorView,
): Tensors | undefined {
  if (trace) return { h_W_h: inAnswer(trace.h_W_h), x_W_x: inAnswer(trace.x_W_x), z: inAnswer(trace.z) };
  const gateViews = (views: Readonly<Record<string, TensorView>>) =>
    Object.fromEntries(Object.entries(views).map(([gate, view]) => [gate, inAnswer(view)]));
  return gates && {
    layers: gates.map(({ layer, direction, z, values }) => {
      return { layer, direction, z: gateViews(z), values: gateViews(values) };
    }),
  };
}
