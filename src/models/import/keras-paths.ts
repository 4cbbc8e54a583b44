// Where the recurrent layers of a Keras file are. Each has a recurrent kernel, at the path of its cell:
//
//   lstm/lstm_cell/recurrent_kernel                          the layer lstm
//   bidirectional/forward_lstm/lstm_cell/recurrent_kernel    the layer bidirectional, together with
//   bidirectional/backward_lstm/lstm_cell/recurrent_kernel
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

/** A recurrent layer. */
export interface KerasModule {
  /** Of the layer; that of a Bidirectional contains two directions. */
  readonly path: string;
  /** What is before the names of the tensors of each direction: `lstm/lstm_cell/`. */
  readonly forward: string;
  readonly backward?: string | undefined;
  /** Whether its path is that of one direction of a Bidirectional, whose other direction is not there. */
  readonly isHalf: boolean;
}

const KERNEL = /(?<=^|[/.])recurrent_kernel$/;
const CELL_PART = /(?:^|[/.])(?:cell|\w{1,64}_cell(?:_\d{1,9})?)$/;
const DIRECTION_PART = /(?:^|[/.])(forward|backward)_[^/.]*$/;

/** All recurrent layers, in the order of the file. */
export function kerasModules(tensors: UnclaimedTensors): KerasModule[] {
  const cells = tensors.allMatching(KERNEL).map((name) => name.replace(KERNEL, ''));
  const directions = groupBy(cells, (cell) => parentOf(layerOf(cell)) ?? '');
  return cells.flatMap((cell): KerasModule[] => {
    const path = layerOf(cell);
    const parent = parentOf(path);
    if (parent === undefined) return [{ path, forward: cell, isHalf: false }];
    const [forward, backward, ...more] = (directions.get(parent) ?? []).toSorted(byDirection);
    const isPair = directionOf(forward!) === 'forward' && backward !== undefined && directionOf(backward) === 'backward';
    if (!isPair || more.length > 0) return [{ path, forward: cell, isHalf: true }];
    return cell === forward ? [{ path: parent, forward, backward, isHalf: false }] : [];
  });
}

/** Those at a path, which may also be that of their cell. */
export function modulesAt(tensors: UnclaimedTensors, path: string): KerasModule[] {
  const modules = kerasModules(tensors);
  const found = modules.filter((module) => module.path === path);
  return found.length > 0 ? found : modules.filter(({ forward }) => withoutSeparator(forward) === path);
}

/** The cell that a path names in the way of Keras: `lstm_cell`, `simple_rnn_cell_2`. */
export function cellNamedBy(cell: string): 'rnn' | 'gru' | 'lstm' | undefined {
  const [, name] = /(?:^|[/.])(simple_rnn|gru|lstm)_cell(?:_\d{1,9})?[/.]$/.exec(cell) ?? [];
  return name === 'simple_rnn' ? 'rnn' : (name as 'gru' | 'lstm' | undefined);
}

const withoutSeparator = (cell: string) => cell.slice(0, -1);
const layerOf = (cell: string) => withoutSeparator(cell).replace(CELL_PART, '');
const directionOf = (cell: string) => DIRECTION_PART.exec(layerOf(cell))?.[1];
const byDirection = (a: string, b: string) => (directionOf(a) === directionOf(b) ? 0 : directionOf(a) === 'forward' ? -1 : 1);

/** The path of the Bidirectional that a layer may be a direction of. */
function parentOf(path: string): string | undefined {
  return DIRECTION_PART.test(path) ? path.replace(DIRECTION_PART, '') : undefined;
}

function groupBy(cells: readonly string[], keyOf: (cell: string) => string): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const cell of cells) {
    if (parentOf(layerOf(cell)) === undefined) continue;
    const key = keyOf(cell);
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  return groups;
}
