// The parts of the equation of a gate: what each is called, which ones are lit with another, and how its numbers come about.
import { type Gate, gatesOf } from './cells.ts';
import { type Matrix, type Place, at, broadcast, columnsOf } from './matrix.ts';
import type { Network } from './network.ts';
import type { Step } from './steps.ts';
import { type Explanation, term, times } from './sum-note.ts';

/** `value` is the activation of z. */
export type Part = 'h' | 'W_h' | 'h_W_h' | 'x' | 'W_x' | 'x_W_x' | 'b' | 'z' | 'value';

export const SHAPES: Readonly<Record<Part, string>> = {
  h: '(N, H)', W_h: '(H, H)', h_W_h: '(N, H)', x: '(N, D)', W_x: '(D, H)', x_W_x: '(N, H)', b: '(H)', z: '(N, H)', value: '(N, H)',
};

/** Of one gate at one step. */
export interface Scene {
  readonly network: Network;
  readonly gate: Gate;
  readonly step: Step;
}

/** The weights of a gate have its letter; a cell without gates needs none. */
export function nameOf(part: Part, { network, gate }: Omit<Scene, 'step'>): string {
  const letter = network.cell === 'rnn' ? '' : gate.name;
  const names: Readonly<Record<Part, string>> = {
    h: 'h_{t-1}',
    W_h: `W_{h${letter}}`,
    h_W_h: 'h_{t-1} W_h',
    x: 'x_t',
    W_x: `W_{x${letter}}`,
    x_W_x: 'x_t W_x',
    b: letter === '' ? 'b' : `b_${letter}`,
    z: letter === '' ? 'z' : `z_${letter}`,
    value: letter === '' ? 'h_t' : letter,
  };
  return names[part];
}

/** @throws Error if the cell has no such part: only one without gates has the products */
export function matrixOf(part: Part, { network, gate, step }: Scene): Matrix {
  const { N, H } = network;
  const first = firstColumnOf(gate, network);
  const matrices: Readonly<Record<Part, () => Matrix | undefined>> = {
    h: () => step.before.h,
    W_h: () => columnsOf(network.W_h, first, H),
    h_W_h: () => step.products?.h_W_h,
    x: () => step.x,
    W_x: () => columnsOf(network.W_x, first, H),
    x_W_x: () => step.products?.x_W_x,
    b: () => broadcast(columnsOf(network.b, first, H), N),
    z: () => step.z[gate.name],
    value: () => step.values[gate.name],
  };
  const matrix = matrices[part]();
  if (!matrix) throw new Error(`A ${network.cell} has no ${part}.`);
  return matrix;
}

/** Where the weights of a gate begin, which stand side by side. */
export function firstColumnOf(gate: Gate, { cell, H }: Network): number {
  return gatesOf(cell).indexOf(gate) * H;
}

export function activationOf({ activation }: Gate): string {
  return activation === 'tanh' ? 'tanh' : 'σ';
}

/** What is lit when a number of a part is pointed at: what it is made of, or what is made of it. */
export function litWith(part: Part, place: Place): ReadonlyMap<Part, Partial<Place>> {
  const [row, column] = [{ row: place.row }, { column: place.column }];
  const others: Readonly<Record<Part, readonly (readonly [Part, Partial<Place>])[]>> = {
    h: [['h_W_h', row], ['z', row]],
    W_h: [['h_W_h', column], ['z', column]],
    h_W_h: [['h', row], ['W_h', column]],
    x: [['x_W_x', row], ['z', row]],
    W_x: [['x_W_x', column], ['z', column]],
    x_W_x: [['x', row], ['W_x', column]],
    b: [['z', column]],
    z: [['h', row], ['W_h', column], ['h_W_h', place], ['x', row], ['W_x', column], ['x_W_x', place], ['b', place]],
    value: [['z', place]],
  };
  return new Map([...others[part], [part, place]]);
}

export function explain(part: Part, place: Place, scene: Scene): Explanation {
  const { row, column } = place;
  const name = (of: Part) => nameOf(of, scene);
  const value = (of: Part) => at(matrixOf(of, scene), row, column);
  const shown = { name: name(part), place, value: value(part) };
  const fromState = () => productsOf(matrixOf('h', scene), matrixOf('W_h', scene), place);
  const fromInput = () => productsOf(matrixOf('x', scene), matrixOf('W_x', scene), place);
  const activation = activationOf(scene.gate);
  switch (part) {
    case 'h_W_h':
      return { ...shown, is: `Σ_k ${name('h')} [${row}, k] ${name('W_h')} [k, ${column}]`, terms: fromState() };
    case 'x_W_x':
      return { ...shown, is: `Σ_k ${name('x')} [${row}, k] ${name('W_x')} [k, ${column}]`, terms: fromInput() };
    case 'value':
      return { ...shown, is: `${activation}(${name('z')} [${row}, ${column}])`, terms: [term(value('z'))], around: `${activation}(…)` };
    case 'z': {
      const [state, input, bias] = [`${name('h')} ${name('W_h')}`, `${name('x')} ${name('W_x')}`, name('b')];
      if (isReset(scene)) {
        const reset = `${term(at(scene.step.values['r']!, row, column))} × (${fromState().join(' + ')})`;
        return { ...shown, is: `r ∘ (${state}) + ${input} + ${bias}`, terms: [reset, ...fromInput(), term(value('b'))] };
      }
      const terms = scene.step.products ? [term(value('h_W_h')), term(value('x_W_x'))] : [...fromState(), ...fromInput()];
      return { ...shown, is: `${state} + ${input} + ${bias}`, terms: [...terms, term(value('b'))] };
    }
    default:
      return shown;
  }
}

/** Whether r is multiplied with the product of the state, as in the proposal of a GRU (reset after). */
export function isReset({ network, gate }: Omit<Scene, 'step'>): boolean {
  return network.cell === 'gru' && gate.name === 'n';
}

/** The terms of one number of a product of matrices. */
function productsOf(left: Matrix, right: Matrix, { row, column }: Place): string[] {
  return Array.from({ length: left.columns }, (_, k) => times(at(left, row, k), at(right, k, column)));
}
