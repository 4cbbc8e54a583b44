// What a recurrent layer reads beside its weights: the steps and rows of x, the lengths of the rows, initial states.
import type { CellType } from '../../../layers.ts';
import { isFilledWith } from './constants.ts';
import type { GraphNode } from './node.ts';
import { sizeOf } from './reshape.ts';
import { formatSize, isSame } from './size.ts';
import { type Axis, type InitialState, type Path, type Signal, indexOfFeatures } from './value.ts';

export interface RecurrentInput {
  /** Of what the layer reads. */
  readonly path: Path;
  readonly time: Axis;
  readonly rows: Axis;
  /** The same of the path behind the layer. */
  readonly known: Pick<Path, 'time' | 'rows' | 'lengths'>;
}

/** @throws model_file_unsupported unless X has the axes that the layout says, of the layer before */
export function readInput(node: GraphNode): RecurrentInput {
  const value = node.signal(0);
  const { axes } = value;
  const isBatchFirst = node.integer('layout', 0) === 1;
  expectAllSteps(node, value);
  const [outer, inner] = axes;
  if (!outer || !inner || axes.length !== 3 || indexOfFeatures(value) !== 2 || outer.length > 1 || inner.length > 1) {
    const found = axes.map((axis) => formatSize(sizeOf(axis))).join(', ');
    const expected = isBatchFirst ? 'rows, steps' : 'steps, rows';
    throw node.refusal(`whose X has the axes (${found})`, `${expected}, and as the last all features of the layer before`);
  }
  const [time, rows] = isBatchFirst ? [inner, outer] : [outer, inner];
  return { path: value.path, time, rows, known: knownBehind(node, value.path, time, rows) };
}

function expectAllSteps(node: GraphNode, { moment, direction, firstRow, path }: Signal): void {
  if (moment !== 'steps') {
    throw node.refusal('which reads one step of the layer before', 'all its steps (Y, in Keras return_sequences=True)');
  }
  if (direction !== undefined) throw node.refusal('which reads one direction of the layer before', 'both directions');
  if (path.input.isInteger && !path.layer) {
    throw node.refusal('which reads integers', 'floats, or an embedding (Gather) in front of it');
  }
  if (firstRow !== undefined) throw node.refusal('which reads a part of x', 'all of it');
}

/** Steps, rows and lengths have to be those of the recurrent layers before. */
function knownBehind(node: GraphNode, path: Path, time: Axis, rows: Axis): RecurrentInput['known'] {
  const found = { time: time[0]?.id ?? '', rows: rows[0]?.id ?? '', lengths: lengthsOf(node, time) };
  if (path.time === undefined) return found;
  if (path.time !== found.time || path.rows !== found.rows) {
    throw node.refusal('whose steps are the rows of a recurrent layer before', 'the same axis of steps in all layers');
  }
  if (path.lengths !== found.lengths) {
    throw node.refusal('whose sequence_lens are not those of the recurrent layers before', 'the same in all layers');
  }
  return found;
}

/** The input that is sequence_lens; undefined if all rows take all steps. */
function lengthsOf(node: GraphNode, time: Axis): string | undefined {
  const value = node.inputs[4];
  if (!value) return undefined;
  if (value.kind === 'signal' && !value.path.layer && value.firstRow === undefined) return value.path.input.name;
  const steps = sizeOf(time);
  if (value.kind === 'fill' && isSame(value.value, steps)) return undefined;
  if (value.kind === 'constant' && isFilledWith(value, steps, node.budget)) return undefined;
  throw node.refusal(
    'whose sequence_lens are computed in the graph',
    'an input of the graph, or none: they are the lengths of a request',
  );
}

/** @throws model_file_unsupported unless they are zeros or inputs of the graph */
export function initialStates(node: GraphNode, type: CellType, directions: number): InitialState[] {
  const states = type === 'lstm' ? (['h', 'c'] as const) : (['h'] as const);
  return states.flatMap((state, k) => initialState(node, 5 + k, state, directions));
}

function initialState(node: GraphNode, index: number, state: 'h' | 'c', directions: number): InitialState[] {
  const value = node.inputs[index];
  if (!value) return [];
  if (value.kind === 'fill' && value.value === 0) return [];
  if (value.kind === 'constant' && isFilledWith(value, 0, node.budget)) return [];
  if (value.kind === 'signal' && !value.path.layer) {
    return [{ state, input: value.path.input.name, firstRow: value.firstRow ?? 0, rows: directions }];
  }
  const found = `whose initial_${state}`;
  if (value.kind === 'constant' || value.kind === 'fill') {
    throw node.refusal(
      `${found} is a constant that is not zero`,
      `zeros, or an input of the graph; then give these numbers as ${state} in requests, or set the state of sessions`,
    );
  }
  throw node.refusal(`${found} is computed by the graph`, 'zeros, or an input of the graph');
}
