// Where the recurrent layers of a Keras file are. Each has a recurrent kernel, at the path of its cell:
//
//   lstm/lstm_cell/recurrent_kernel                          the layer lstm
//   bidirectional/forward_lstm/lstm_cell/recurrent_kernel    the layer bidirectional, together with
//   bidirectional/backward_lstm/lstm_cell/recurrent_kernel
//   forward_lstm_1/lstm_cell/recurrent_kernel                the layer lstm_1, together with backward_lstm_1, where the
//                                                            path of the Bidirectional is left out
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

/** A cell that may be of one direction of a Bidirectional. */
interface Half {
  readonly cell: string;
  /** The path of the Bidirectional. */
  readonly parent: string;
  readonly direction: string;
  /** The path without the word for the direction: `bidirectional/lstm`. */
  readonly name: string;
}

const KERNEL = /(?<=^|[/.])recurrent_kernel$/;
const CELL_PART = /(?:^|[/.])(?:cell|\w{1,64}_cell(?:_\d{1,9})?)$/;
const DIRECTION_PART = /(?<=^|[/.])(forward|backward)_(?=[^/.]*$)/;

/** Of a file, whose names do not change: each layer of a description asks for them. */
const found = new WeakMap<UnclaimedTensors, readonly KerasModule[]>();

/** All recurrent layers, in the order of the file. */
export function kerasModules(tensors: UnclaimedTensors): readonly KerasModule[] {
  if (!found.has(tensors)) found.set(tensors, findModules(tensors));
  return found.get(tensors)!;
}

function findModules(tensors: UnclaimedTensors): KerasModule[] {
  const cells = tensors.allAt('', KERNEL).map((name) => name.replace(KERNEL, ''));
  const pairs = pairsOf(cells.flatMap(halfOf));
  return cells.flatMap((cell): KerasModule[] => {
    const pair = pairs.get(cell);
    if (pair) return cell === pair.forward ? [pair] : [];
    return [{ path: layerOf(cell), forward: cell, isHalf: halfOf(cell).length > 0 }];
  });
}

/** Those at a path, which may also be that of their cell. */
export function modulesAt(tensors: UnclaimedTensors, path: string): KerasModule[] {
  const modules = kerasModules(tensors);
  const named = modules.filter((module) => module.path === path);
  return named.length > 0 ? named : modules.filter(({ forward }) => withoutSeparator(forward) === path);
}

/** The cell that a path names in the way of Keras: `lstm_cell`, `simple_rnn_cell_2`. */
export function cellNamedBy(cell: string): 'rnn' | 'gru' | 'lstm' | undefined {
  const [, name] = /(?:^|[/.])(simple_rnn|gru|lstm)_cell(?:_\d{1,9})?[/.]$/.exec(cell) ?? [];
  return name === 'simple_rnn' ? 'rnn' : (name as 'gru' | 'lstm' | undefined);
}

/** Two directions of one Bidirectional, by both of their cells. */
function pairsOf(halves: readonly Half[]): Map<string, KerasModule> {
  const pairs = new Map<string, KerasModule>();
  const add = (path: string, [a, b, ...more]: readonly Half[]) => {
    if (!a || !b || more.length > 0 || a.direction === b.direction) return;
    const [forward, backward] = a.direction === 'forward' ? [a.cell, b.cell] : [b.cell, a.cell];
    for (const { cell } of [a, b]) pairs.set(cell, { path, forward, backward, isHalf: false });
  };
  for (const [name, group] of Map.groupBy(halves, (half) => half.name)) add(name, group);
  // A parent of two directions alone is the Bidirectional, whatever the directions are called.
  for (const [parent, group] of Map.groupBy(halves, (half) => half.parent)) if (parent !== '') add(parent, group);
  return pairs;
}

function halfOf(cell: string): Half[] {
  const path = layerOf(cell);
  const [, direction] = DIRECTION_PART.exec(path) ?? [];
  if (direction === undefined) return [];
  const parent = path.replace(/(?:^|[/.])[^/.]*$/, '');
  return [{ cell, parent, direction, name: path.replace(DIRECTION_PART, '') }];
}

const withoutSeparator = (cell: string) => cell.slice(0, -1);
const layerOf = (cell: string) => withoutSeparator(cell).replace(CELL_PART, '');
