// A model for each kind of layer, as examples in the documentation; all can be registered as they are.
import { WEIGHTS_EXAMPLE } from '../schemas/tensor.ts';

/** D = 1, H = 1, three gates. */
const GRU = { W_x: [[0.5, -0.25, 1]], W_h: [[0.1, 0.2, -0.3]], b: [0.01, -0.02, 0.03], b_h: [0, 0.1, 0.2] };

/** D = 2, H = 1, four gates. */
const LSTM = {
  W_x: [
    [0.5, -0.25, 1, 0.75],
    [0.3, 0.8, -0.6, 0.2],
  ],
  W_h: [[0.1, 0.2, -0.3, 0.4]],
  b: [0, 1, 0, 0],
};

export const MODEL_EXAMPLES = [
  {
    name: 'tiny',
    weights: WEIGHTS_EXAMPLE,
    readout: { W_y: [[1], [-1]], b_y: [0.5] },
  },
  {
    name: 'tiny-forecast',
    layers: [
      { type: 'affine', scale: [0.1], offset: [-2] },
      { type: 'gru', ...GRU },
      { type: 'dense', W: [[2]], b: [20] },
    ],
  },
  {
    name: 'tiny-text',
    layers: [
      {
        type: 'embedding',
        E: [
          [1, 0],
          [0, 1],
          [-1, 0.5],
        ],
      },
      { type: 'lstm', ...LSTM },
      { type: 'dense', W: [[1, 0, -1]], activation: 'softmax' },
    ],
  },
  {
    name: 'tiny-tagger',
    layers: [
      {
        type: 'rnn',
        activation: 'relu',
        direction: 'bidirectional',
        W_x: [[0.5]],
        W_h: [[0.25]],
        backward: { W_x: [[-0.5]], W_h: [[0.125]] },
      },
    ],
  },
];

/** The layers of a file, as a query parameter. */
export const DESCRIPTION_EXAMPLE =
  '[{"type":"embedding","name":"embedding"},{"type":"lstm","name":"lstm"},' +
  '{"type":"dense","name":"head","activation":"softmax"}]';
