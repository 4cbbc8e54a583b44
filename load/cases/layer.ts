// Recurrent layers with pseudo-random weights.
import { type CellType, type RecurrentLayer, type RecurrentSpec, gatesOf } from '../../src/layers.ts';
import { fill } from '../../src/cli/bench/pseudo-random-tensors.ts';

/** A forward layer with weights of ±1/√H, as networks are initialised; an RNN with tanh, a GRU with reset after. */
export function makeLayer(random: () => number, cell: CellType, D: number, H: number): RecurrentLayer {
  const spec = specOf(cell, D, H);
  const columns = gatesOf(spec) * H;
  const scale = 1 / Math.sqrt(H);
  const W_x = fill(random, D * columns, scale);
  const W_h = fill(random, H * columns, scale);
  const b = fill(random, columns, scale);
  const b_hn = cell === 'gru' ? fill(random, H, scale) : undefined;
  return { ...spec, weights: { W_x, W_h, b, b_hn } };
}

function specOf(cell: CellType, D: number, H: number): RecurrentSpec {
  const sizes = { D, H, direction: 'forward' } as const;
  if (cell === 'rnn') return { type: cell, activation: 'tanh', ...sizes };
  if (cell === 'gru') return { type: cell, reset: 'after', ...sizes };
  return { type: cell, ...sizes };
}
