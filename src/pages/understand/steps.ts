// The steps of the picture, each with all that the service has computed for it.
import { type CellStates, type Layers, type States, Tensor, type Trace, type Weights } from '../../client/index.ts';
import type { Page } from '../page.ts';
import { carryoverOf } from '../service.ts';
import { CELLS, gatesOf } from './cells.ts';
import type { Matrix } from './matrix.ts';
import { type Network, weightsAsJson } from './network.ts';

/** One tensor, as of all models with one layer. */
type Answered = States | CellStates | undefined;

/** What is carried from one step to the next. */
export interface State {
  /** (N, H). */
  readonly h: Matrix;
  /** (N, H), of an LSTM. */
  readonly c: Matrix | undefined;
}

export interface Step {
  /** (N, D). */
  readonly x: Matrix;
  readonly before: State;
  readonly after: State;
  /** The two products (N, H) of a cell without gates. */
  readonly products: { readonly h_W_h: Matrix; readonly x_W_x: Matrix } | undefined;
  /** By gate, each (N, H): the sum, and its activation. */
  readonly z: Readonly<Record<string, Matrix>>;
  readonly values: Readonly<Record<string, Matrix>>;
}

/**
 * The steps that read `xs` from a state on.
 *
 * @throws CarryoverError, or the reason of the signal
 */
export async function computeSteps(
  page: Page,
  network: Network,
  from: State,
  xs: readonly Matrix[],
  signal: AbortSignal,
): Promise<Step[]> {
  if (xs.length === 0) return [];
  if (!CELLS[network.cell].hasCellState) return computeTogether(page, network, from, xs, signal);
  // The answer to a sequence has the last cell state only.
  const steps: Step[] = [];
  for (const x of xs) steps.push(await computeOne(page, network, steps.at(-1)?.after ?? from, x, signal));
  return steps;
}

async function computeTogether(page: Page, network: Network, from: State, xs: readonly Matrix[], signal: AbortSignal): Promise<Step[]> {
  const { N, D } = network;
  const all = new Float32Array(xs.length * N * D);
  xs.forEach(({ data }, k) => all.set(data, k * N * D));
  const { hs, trace } = await carryoverOf(page).sequence(
    { weights: weightsOf(network), x: new Tensor([xs.length, N, D], all), h: tensorOf(from.h), outputs: ['hs'], trace: true },
    { signal },
  );
  const steps: Step[] = [];
  for (const [k, x] of xs.entries()) {
    const before = steps.at(-1)?.after ?? from;
    steps.push({ x, before, after: { h: matrixOf(hs, k), c: undefined }, ...tracedOf(network, trace!, hs, k) });
  }
  return steps;
}

async function computeOne(page: Page, network: Network, before: State, x: Matrix, signal: AbortSignal): Promise<Step> {
  const { h, c, trace } = await carryoverOf(page).step(
    { weights: weightsOf(network), x: tensorOf(x), h: tensorOf(before.h), c: tensorOf(before.c!), trace: true },
    { signal },
  );
  return { x, before, after: { h: matrixOf(h), c: matrixOf(c) }, ...tracedOf(network, trace!, h) };
}

/** @param k the step of a sequence */
function tracedOf({ cell }: Network, trace: Trace, h: Answered, k?: number): Pick<Step, 'products' | 'z' | 'values'> {
  if (!trace.layers) {
    const products = { h_W_h: matrixOf(trace.h_W_h, k), x_W_x: matrixOf(trace.x_W_x, k) };
    return { products, z: { h: matrixOf(trace.z, k) }, values: { h: matrixOf(h, k) } };
  }
  const { z, values } = trace.layers[0]!;
  const byGate = (tensors: Readonly<Record<string, Tensor>>) =>
    Object.fromEntries(gatesOf(cell).map(({ name }) => [name, matrixOf(tensors[name], k)]));
  return { products: undefined, z: byGate(z), values: byGate(values) };
}

/** As numbers of JSON with few digits: printing those of float32 takes three times as long. */
const printed = new WeakMap<Network, Weights | Layers>();

function weightsOf(network: Network): Weights | Layers {
  const weights = printed.get(network) ?? weightsAsJson(network);
  printed.set(network, weights);
  return weights;
}

function tensorOf({ rows, columns, data }: Matrix): Tensor {
  return new Tensor([rows, columns], data);
}

/** @param k which of the first axis, where there are three */
function matrixOf(answered: Answered, k = 0): Matrix {
  if (!(answered instanceof Tensor)) throw new TypeError('The service has not answered with the tensor of one layer.');
  const [rows, columns] = answered.shape.slice(-2) as [number, number];
  return { rows, columns, data: answered.data.subarray(k * rows * columns, (k + 1) * rows * columns) };
}
