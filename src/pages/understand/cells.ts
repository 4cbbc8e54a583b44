// The three recurrent cells, by their gates. A gate is an activation of sums over the last state and the input; the cell without
// gates has one such sum, and its value is the new state itself.

export const CELLS = {
  /** h_t = tanh(z). */
  rnn: { gates: [{ name: 'h', activation: 'tanh' }], hasCellState: false },
  /** h_t = (1 - z) ∘ n + z ∘ h_{t-1}. */
  gru: {
    gates: [{ name: 'r', activation: 'sigmoid' }, { name: 'z', activation: 'sigmoid' }, { name: 'n', activation: 'tanh' }],
    hasCellState: false,
  },
  /** c_t = f ∘ c_{t-1} + i ∘ g, h_t = o ∘ tanh(c_t). */
  lstm: {
    gates: [
      { name: 'i', activation: 'sigmoid' },
      { name: 'f', activation: 'sigmoid' },
      { name: 'g', activation: 'tanh' },
      { name: 'o', activation: 'sigmoid' },
    ],
    hasCellState: true,
  },
} as const satisfies Record<string, Cell>;

export type CellName = keyof typeof CELLS;
export type Activation = 'tanh' | 'sigmoid';

export interface Gate {
  readonly name: string;
  readonly activation: Activation;
}

interface Cell {
  /** In the order in which their weights stand side by side. */
  readonly gates: readonly Gate[];
  readonly hasCellState: boolean;
}

export function gatesOf(cell: CellName): readonly Gate[] {
  return CELLS[cell].gates;
}
