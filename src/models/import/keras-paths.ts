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

/** All recurrent layers whose paths begin with `path`, in the order of the file. */
export function kerasModules(tensors: UnclaimedTensors, path = ''): KerasModule[] {
  const cells = tensors.allAt(path, KERNEL).map((name) => name.replace(KERNEL, ''));
  const pairs = directionsOf(cells);
  return cells.flatMap((cell): KerasModule[] => {
    const path = layerOf(cell);
    const parent = parentOf(path);
    if (parent === undefined) return [{ path, forward: cell, isHalf: false }];
    const { forward, backward } = pairs.get(parent)!;
    if (forward.length !== 1 || backward.length !== 1) return [{ path, forward: cell, isHalf: true }];
    return cell === forward[0] ? [{ path: parent, forward: cell, backward: backward[0], isHalf: false }] : [];
  });
}

/** The cells of each direction by the paths of the Bidirectionals that they may be of. */
function directionsOf(cells: readonly string[]): Map<string, Record<'forward' | 'backward', string[]>> {
  const found = new Map<string, Record<'forward' | 'backward', string[]>>();
  for (const cell of cells) {
    const path = layerOf(cell);
    const [, direction] = DIRECTION_PART.exec(path) ?? [];
    if (direction === undefined) continue;
    const parent = parentOf(path)!;
    if (!found.has(parent)) found.set(parent, { forward: [], backward: [] });
    found.get(parent)![direction as 'forward' | 'backward'].push(cell);
  }
  return found;
}

/** Those at a path, which may also be that of their cell. */
export function modulesAt(tensors: UnclaimedTensors, path: string): KerasModule[] {
  const modules = kerasModules(tensors, path);
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

/** The path of the Bidirectional that a layer may be a direction of. */
function parentOf(path: string): string | undefined {
  return DIRECTION_PART.test(path) ? path.replace(DIRECTION_PART, '') : undefined;
}
