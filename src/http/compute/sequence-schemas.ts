import { Type } from 'typebox';
import { Problem } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { ModelRef } from '../models/schemas.ts';
import { SessionMark, SessionRef } from '../sessions/schemas.ts';
import { InlineWeights } from '../schemas/layers.ts';
import { cellStates, hiddenStates, sequenceInput } from '../schemas/states.ts';
import { cube, matrix } from '../schemas/tensor.ts';
import { OUTPUTS } from './answer.ts';
import { StepLayersTrace, StepTrace } from './step-schemas.ts';

/** T steps of a mini-batch. The weights are in one of `weights`, `model` and `session`. */
export const SequenceBody = Type.Object(
  {
    weights: Type.Optional(ref(InlineWeights)),
    model: Type.Optional(ModelRef),
    session: Type.Optional(SessionRef),
    x: sequenceInput('Inputs, (T, N, D), or (N, T, D) with layout NTD; with an embedding without D.'),
    h: Type.Optional(hiddenStates('Hidden state before the first step, (N, H), or a list; zeros if absent.')),
    c: Type.Optional(cellStates('Cell state before the first step, of a model with an lstm; zeros if absent.')),
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
        description: 'Order of the axes of x, hs, ys and the trace; TND if absent. h and c are always (N, H).',
      }),
    ),
    outputs: Type.Optional(
      Type.Array(Type.Enum([...OUTPUTS]), {
        minItems: 1,
        uniqueItems: true,
        description:
          'What to answer with; all that the model has if absent. hs stands for ys as well, and h for c and y, ' +
          'unless one of those is named.',
      }),
    ),
    trace: Type.Optional(
      Type.Boolean({ description: 'Also answer with the intermediate values of every step.' }),
    ),
  },
  {
    $id: 'SequenceBody',
    additionalProperties: false,
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

const gatesOf = (description: string) => Type.Record(Type.String(), cube('Shaped like hs.'), { description });

export const SequenceLayersTrace = Type.Object(
  {
    layers: Type.Array(
      Type.Object(
        {
          layer: Type.Integer({ description: 'Index of the layer in the model.' }),
          direction: Type.Enum(['forward', 'reverse']),
          z: gatesOf('Pre-activations of each gate, shaped like hs.'),
          values: gatesOf('Values of each gate, shaped like hs.'),
        },
        { additionalProperties: false },
      ),
      {
        description:
          'One for each recurrent layer and direction. Gates: h of an rnn; r, z, n of a gru; i, f, g, o of an lstm.',
      },
    ),
  },
  {
    $id: 'SequenceLayersTrace',
    additionalProperties: false,
    description: 'Trace of a model other than one tanh layer.',
  },
);

export const SequenceReply = Type.Object(
  {
    hs: Type.Optional(
      cube(
        'Hidden states h_1 … h_T of the last recurrent layer, (T, N, H), or (N, T, H) with layout NTD; of a ' +
          'bidirectional one both directions side by side.',
      ),
    ),
    h: Type.Optional(hiddenStates('Hidden state after the last step of each row, in the form that requests have.')),
    c: Type.Optional(cellStates('Cell state after the last step of each row, if the model has an lstm.')),
    ys: Type.Optional(
      cube(
        'Outputs of the layers behind the last recurrent one, shaped like hs with O for H, if there are any: the ' +
          'readouts of hs.',
      ),
    ),
    y: Type.Optional(matrix('The same for the final states, (N, O): the readout of h.')),
    trace: Type.Optional(Type.Union([ref(SequenceTrace), ref(SequenceLayersTrace)])),
    session: Type.Optional(ref(SessionMark)),
  },
  { $id: 'SequenceReply', additionalProperties: false },
);

const StepLine = Type.Object(
  {
    t: Type.Integer({ minimum: 1, description: 'The number of the step, 1 … T.' }),
    h: Type.Optional(matrix('h_t of the last recurrent layer, (N, H); 0 in rows that have ended. With output hs.')),
    y: Type.Optional(matrix('y_t, (N, O), if layers are behind it. With output ys.')),
    trace: Type.Optional(Type.Union([ref(StepTrace), ref(StepLayersTrace)])),
  },
  { additionalProperties: false },
);

const DoneLine = Type.Object(
  {
    done: Type.Literal(true),
    t: Type.Integer({ description: 'T.' }),
    h: Type.Optional(hiddenStates('Hidden state after the last step of each row. With output h.')),
    c: Type.Optional(cellStates('Cell state after the last step of each row, of a model with an lstm. With output c.')),
    y: Type.Optional(matrix('Readout of the final states, (N, O), if the model has one. With output y.')),
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
