import { Type } from 'typebox';
import { Problem } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { ModelRef } from '../models/schemas.ts';
import { SessionMark, SessionRef } from '../sessions/schemas.ts';
import { StepTrace } from './step-schemas.ts';
import { WEIGHTS_EXAMPLE, Weights, cube, matrix } from '../schemas/tensor.ts';

/** T steps of a mini-batch. The weights are in one of `weights`, `model` and `session`. */
export const SequenceBody = Type.Object(
  {
    weights: Type.Optional(ref(Weights)),
    model: Type.Optional(ModelRef),
    session: Type.Optional(SessionRef),
    x: cube('Inputs, (T, N, D), or (N, T, D) with layout NTD.'),
    h: Type.Optional(matrix('Hidden state before the first step, (N, H); zeros if absent.')),
    lengths: Type.Optional(
      Type.Array(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), {
        minItems: 1,
        description:
          'Steps of each row, N integers 0 … T. Beyond them hs is 0; h is the state after the ' +
          'last of them (with 0 steps: unchanged).',
      }),
    ),
    layout: Type.Optional(
      Type.Enum(['TND', 'NTD'], {
        description: 'Order of the axes of x and hs; TND if absent. h is always (N, H).',
      }),
    ),
    outputs: Type.Optional(
      Type.Array(Type.Enum(['hs', 'h']), {
        minItems: 1,
        uniqueItems: true,
        description: 'What to answer with; both if absent.',
      }),
    ),
    trace: Type.Optional(
      Type.Boolean({ description: 'Also answer with the intermediate products of every step.' }),
    ),
  },
  {
    $id: 'SequenceBody',
    additionalProperties: false,
    examples: [
      {
        weights: WEIGHTS_EXAMPLE,
        x: [
          [[1], [0.5]],
          [[-1], [0.25]],
          [[0.5], [0]],
        ],
        lengths: [3, 2],
      },
    ],
  },
);

export const SequenceTrace = Type.Object(
  {
    h_W_h: cube('h_{t-1} W_h of every step, shaped like hs.'),
    x_W_x: cube('x_t W_x of every step, shaped like hs.'),
    z: cube('Pre-activations (x_W_x + h_W_h) + b, shaped like hs.'),
  },
  { $id: 'SequenceTrace', additionalProperties: false },
);

export const SequenceReply = Type.Object(
  {
    hs: Type.Optional(cube('Hidden states h_1 … h_T, (T, N, H), or (N, T, H) with layout NTD.')),
    h: Type.Optional(matrix('Hidden state after the last step of each row, (N, H).')),
    ys: Type.Optional(cube('Readouts of hs, shaped like it with O for H, if the model has one.')),
    y: Type.Optional(matrix('Readout of h, (N, O), if the model has one.')),
    trace: Type.Optional(ref(SequenceTrace)),
    session: Type.Optional(ref(SessionMark)),
  },
  { $id: 'SequenceReply', additionalProperties: false },
);

const StepLine = Type.Object(
  {
    t: Type.Integer({ minimum: 1, description: 'The number of the step, 1 … T.' }),
    h: Type.Optional(matrix('h_t, (N, H); 0 in rows that have ended. With output hs.')),
    y: Type.Optional(matrix('Readout of h_t, (N, O), if the model has one. With output hs.')),
    trace: Type.Optional(ref(StepTrace)),
  },
  { additionalProperties: false },
);

const DoneLine = Type.Object(
  {
    done: Type.Literal(true),
    t: Type.Integer({ description: 'T.' }),
    h: Type.Optional(matrix('Hidden state after the last step of each row, (N, H). With output h.')),
    y: Type.Optional(matrix('Readout of h, (N, O), if the model has one. With output h.')),
  },
  { additionalProperties: false, description: 'The last line: without it the stream is incomplete.' },
);

const ErrorLine = Type.Object(
  { error: ref(Problem) },
  { additionalProperties: false, description: 'The last line of a stream that failed.' },
);

/** One line of a stream; in an event stream, the data of one event. */
export const SequenceLine = Type.Union([StepLine, DoneLine, ErrorLine], {
  $id: 'SequenceLine',
  description:
    'One line of application/x-ndjson. In text/event-stream it is the `data` of an event whose name ' +
    'is `step`, `done` or `error` and whose `id` is t.',
});
