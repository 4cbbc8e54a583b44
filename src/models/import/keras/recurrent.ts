// SimpleRNN, GRU and LSTM of Keras, RNN around their cells, and Bidirectional.
//
// A layer returns every step (return_sequences) or the last one, in the order in which it has read them, which
// go_backwards reverses. The layers of this service return every step in the order of time.
import { quoteValue } from '../../../codec/safetensors/quote.ts';
import type { CellType, Reset, RnnActivation } from '../../../layers.ts';
import { type FoundBias, type FoundDirection, type FoundRecurrent, axesOf } from '../layer.ts';
import { activationOf } from './activations.ts';
import type { Chain } from './chain.ts';
import { layerNotRead, malformed } from './errors.ts';
import { type JsonObject, fieldOf, flagOf, isObject, textOf } from './json.ts';
import type { KerasLayer } from './keras-layer.ts';
import type { KerasWeights, NamedTensor, Part } from './weights.ts';

const CELLS: ReadonlyMap<string, CellType> = new Map([
  ['SimpleRNN', 'rnn'], ['GRU', 'gru'], ['LSTM', 'lstm'],
  ['SimpleRNNCell', 'rnn'], ['GRUCell', 'gru'], ['LSTMCell', 'lstm'],
]);
const LAYOUT = { isTransposed: false };
const ROLES = ['kernel', 'recurrent_kernel', 'bias'];

/** What a config says of one direction. */
interface Direction {
  readonly type: CellType;
  readonly units: unknown;
  readonly activation: RnnActivation;
  readonly reset: Reset;
  readonly usesBias: boolean;
  readonly returnsSequences: boolean;
  readonly goesBackwards: boolean;
}

/** SimpleRNN, GRU, LSTM, RNN */
export function addRecurrent(layer: KerasLayer, chain: Chain, weights: KerasWeights): void {
  const said = directionOf(layer, layer.className, layer.config);
  expectSequences(layer, chain);
  const [tensors] = weights.read(layer, [partOf(said, 'cell')]);
  const isReversed = chain.isReversed !== said.goesBackwards;
  chain.add(foundOf(said, isReversed ? 'reverse' : 'forward', directionFrom(layer, said, tensors!)));
  afterRecurrent(layer, chain, tensors!, 1);
  if (said.goesBackwards) chain.reversedBy = layer;
  chain.isReversed = isReversed;
  if (said.returnsSequences) return;
  chain.lastStepOf = layer;
  chain.rank = 2;
  const which = isReversed ? 'the first: the layer reads them from the last to the first' : 'the last';
  chain.note(layer, `returns the last step that it reads alone; the service returns every step, of which it is ${which}.`);
}

export function addBidirectional(layer: KerasLayer, chain: Chain, weights: KerasWeights): void {
  const mergeMode = fieldOf(layer.config, 'merge_mode') ?? null;
  if (mergeMode !== 'concat') throw layerNotRead(layer, `has merge_mode ${quoteValue(mergeMode)}, expected "concat": outputs side by side`);
  const forward = innerOf(layer, 'layer');
  if (!forward) throw malformed(`has a Bidirectional without its layer`);
  const backward = innerOf(layer, 'backward_layer') ?? { ...forward, goesBackwards: true };
  expectAlike(layer, forward, backward);
  expectSequences(layer, chain);
  if (chain.isReversed) {
    throw layerNotRead(layer, 'follows a layer that goes backwards: its directions would be exchanged; expected go_backwards=False before it');
  }
  const parts = [partOf(forward, 'forward_layer/cell'), partOf(backward, 'backward_layer/cell')];
  const [ofForward, ofBackward] = weights.read(layer, parts);
  const found = foundOf(forward, 'bidirectional', directionFrom(layer, forward, ofForward!));
  chain.add({ ...found, backward: directionFrom(layer, backward, ofBackward!) });
  afterRecurrent(layer, chain, ofForward!, 2);
  if (forward.returnsSequences) return;
  // The last step of one direction beside the first of the other: no step of the answer, but its final states.
  chain.lastStepOf = layer;
  chain.rank = 2;
  chain.note(layer, 'returns the last state of each direction alone; the service returns them as `h`, and what the layers behind make of them as `y`.');
}

function innerOf(layer: KerasLayer, field: string): Direction | undefined {
  const inner = fieldOf(layer.config, field);
  if (!isObject(inner)) return undefined;
  const config = fieldOf(inner, 'config');
  if (!isObject(config)) throw malformed(`has no config of the ${field} of ${quoteValue(layer.name)}`);
  return directionOf(layer, textOf(inner, 'class_name') ?? '', config);
}

/** @throws model_file_unsupported for what is not computed */
function directionOf(layer: KerasLayer, className: string, config: JsonObject): Direction {
  if (className === 'RNN') return ofRnn(layer, config);
  const type = CELLS.get(className);
  if (type === undefined) throw layerNotRead(layer, `is around a ${quoteValue(className)}, expected SimpleRNN, GRU or LSTM`);
  const usesBias = flagOf(config, 'use_bias', true);
  const accepted = type === 'rnn' ? (['tanh', 'relu'] as const) : (['tanh'] as const);
  const activation = activationOf(layer, 'activation', accepted, config);
  if (type !== 'rnn') activationOf(layer, 'recurrent_activation', ['sigmoid'], config);
  return {
    type,
    units: fieldOf(config, 'units') ?? fieldOf(config, 'output_dim'),
    activation,
    reset: flagOf(config, 'reset_after') ? 'after' : 'before',
    usesBias,
    returnsSequences: flagOf(config, 'return_sequences'),
    goesBackwards: flagOf(config, 'go_backwards'),
  };
}

/** RNN has the options of sequences, and its cell the others. */
function ofRnn(layer: KerasLayer, config: JsonObject): Direction {
  const cell = fieldOf(config, 'cell');
  const className = isObject(cell) ? textOf(cell, 'class_name') : undefined;
  const inner = isObject(cell) ? fieldOf(cell, 'config') : undefined;
  if (className === undefined || !CELLS.has(className) || !className.endsWith('Cell') || !isObject(inner)) {
    throw layerNotRead(layer, `has the cell ${quoteValue(className)}, expected one SimpleRNNCell, GRUCell or LSTMCell`);
  }
  const returnsSequences = flagOf(config, 'return_sequences');
  return { ...directionOf(layer, className, inner), returnsSequences, goesBackwards: flagOf(config, 'go_backwards') };
}

function expectAlike(layer: KerasLayer, forward: Direction, backward: Direction): void {
  const differing = (['type', 'activation', 'reset', 'returnsSequences'] as const).find((key) => forward[key] !== backward[key]);
  if (differing !== undefined) {
    const named = { type: 'class', activation: 'activation', reset: 'reset_after', returnsSequences: 'return_sequences' };
    throw layerNotRead(layer, `has directions that differ in ${named[differing]}, expected the same of both`);
  }
  if (forward.goesBackwards || !backward.goesBackwards) {
    throw layerNotRead(layer, 'has a forward layer that goes backwards, or a backward layer that does not; expected the opposite');
  }
}

/** @throws model_file_unsupported · malformed_model_file */
function expectSequences(layer: KerasLayer, { lastStepOf, rank }: Chain): void {
  if (lastStepOf) {
    throw layerNotRead(
      layer,
      `follows ${quoteValue(lastStepOf.name)}, which returns only its last step; expected return_sequences=True there`,
    );
  }
  if (rank !== undefined && rank !== 3) throw malformed(`has its layer ${quoteValue(layer.name)} read ${rank} axes, expected 3: (batch, steps, features)`);
}

const partOf = ({ usesBias }: Direction, path: string): Part => ({ path, roles: usesBias ? ROLES : ROLES.slice(0, 2) });

function directionFrom(layer: KerasLayer, { type, units, reset }: Direction, tensors: readonly NamedTensor[]): FoundDirection {
  const [kernel, recurrent, bias] = tensors;
  const H = recurrent!.tensor.shape[0];
  if (H === undefined || H !== units) {
    throw malformed(`says that layer ${quoteValue(layer.name)} has ${quoteValue(units)} units, and its weights have ${H}`);
  }
  const axes = axesOf(type, LAYOUT);
  const rows = type === 'gru' && reset === 'after' ? 2 : 1;
  const from = bias && { ...bias, axes: rows === 2 ? ['2', ...axes.b] : axes.b };
  const b: FoundBias | undefined = from && { from, start: 0 };
  const b_h: FoundBias | undefined = from && rows === 2 ? { from, start: 3 * H } : undefined;
  return { W_x: { ...kernel!, axes: axes.W_x }, W_h: { ...recurrent!, axes: axes.W_h }, b, b_h };
}

function foundOf(
  { type, activation, reset }: Direction,
  direction: FoundRecurrent['direction'],
  weights: FoundDirection,
): FoundRecurrent {
  const layout = type === 'gru' ? { ...LAYOUT, gates: ['z', 'r', 'n'] } : LAYOUT;
  const found = { type, direction, layout, weights };
  if (type === 'rnn') return { ...found, activation };
  return type === 'gru' ? { ...found, reset } : found;
}

function afterRecurrent(layer: KerasLayer, chain: Chain, tensors: readonly NamedTensor[], directions: number): void {
  chain.features = directions * tensors[1]!.tensor.shape[0]!;
  if (!flagOf(layer.config, 'stateful')) return;
  chain.note(
    layer,
    'keeps its state from one batch to the next (stateful=True); the service does so in sessions, and begins any other ' +
      'call with the states that it brings, or with zeros.',
  );
}
