import { Type } from 'typebox';
import { ref } from '../schemas/ref.ts';
import { ModelRef } from '../models/schemas.ts';
import { SessionMark, SessionRef } from '../sessions/schemas.ts';
import { Weights, matrix } from '../schemas/tensor.ts';

/** One step of a mini-batch. The weights are in one of `weights`, `model` and `session`. */
export const StepBody = Type.Object(
  {
    weights: Type.Optional(ref(Weights)),
    model: Type.Optional(ModelRef),
    session: Type.Optional(SessionRef),
    x: matrix('Input, (N, D).'),
    h: Type.Optional(matrix('Hidden state before the step, (N, H); zeros if absent.')),
    trace: Type.Optional(
      Type.Boolean({ description: 'Also answer with the intermediate products.' }),
    ),
  },
  {
    $id: 'StepBody',
    additionalProperties: false,
    examples: [
      {
        weights: {
          W_x: [
            [0.5, -0.25, 0.1],
            [0.3, 0.8, -0.6],
          ],
          W_h: [
            [0.1, 0.2, -0.3],
            [-0.4, 0.5, 0.6],
            [0.7, -0.8, 0.9],
          ],
          b: [0.01, -0.02, 0.03],
        },
        x: [
          [1, 2],
          [-0.5, 0.25],
        ],
        h: [
          [0, 0, 0],
          [0.1, -0.2, 0.3],
        ],
      },
    ],
  },
);

export const StepTrace = Type.Object(
  {
    h_W_h: matrix('h W_h, (N, H).'),
    x_W_x: matrix('x W_x, (N, H).'),
    z: matrix('Pre-activation (x_W_x + h_W_h) + b, (N, H).'),
  },
  { $id: 'StepTrace', additionalProperties: false },
);

export const StepReply = Type.Object(
  {
    h: matrix('Hidden state after the step, tanh(z), (N, H).'),
    y: Type.Optional(matrix('Readout h W_y + b_y, (N, O), if the model has one.')),
    trace: Type.Optional(ref(StepTrace)),
    session: Type.Optional(ref(SessionMark)),
  },
  { $id: 'StepReply', additionalProperties: false },
);
