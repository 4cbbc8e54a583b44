import { Type } from 'typebox';
import { ref } from '../schemas/ref.ts';
import { ModelRef } from '../models/schemas.ts';
import { SessionMark, SessionRef } from '../sessions/schemas.ts';
import { InlineWeights } from '../schemas/layers.ts';
import { cellStates, hiddenStates, stepInput } from '../schemas/states.ts';
import { matrix } from '../schemas/tensor.ts';

/** One step of a mini-batch. The weights are in one of `weights`, `model` and `session`. */
export const StepBody = Type.Object(
  {
    weights: Type.Optional(ref(InlineWeights)),
    model: Type.Optional(ModelRef),
    session: Type.Optional(SessionRef),
    x: stepInput('Input, (N, D); with an embedding (N).'),
    h: Type.Optional(hiddenStates('Hidden state before the step, (N, H), or a list; zeros if absent.')),
    c: Type.Optional(cellStates('Cell state before the step, of a model with an lstm; zeros if absent.')),
    trace: Type.Optional(
      Type.Boolean({ description: 'Also answer with the intermediate values.' }),
    ),
  },
  {
    $id: 'StepBody',
    additionalProperties: false,
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

const gatesOf = (description: string) => Type.Record(Type.String(), matrix('(N, H)'), { description });

export const StepLayersTrace = Type.Object(
  {
    layers: Type.Array(
      Type.Object(
        {
          layer: Type.Integer({ description: 'Index of the layer in the model.' }),
          direction: Type.Enum(['forward', 'reverse']),
          z: gatesOf('Pre-activation of each gate, (N, H).'),
          values: gatesOf('Value of each gate, (N, H).'),
        },
        { additionalProperties: false },
      ),
      {
        description:
          'One for each recurrent layer and direction. Gates: h of an rnn; r, z, n of a gru; i, f, g, o of an lstm.',
      },
    ),
  },
  { $id: 'StepLayersTrace', additionalProperties: false, description: 'Trace of a model other than one tanh layer.' },
);

export const StepReply = Type.Object(
  {
    h: hiddenStates('Hidden state after the step, in the form in which requests have it.'),
    c: Type.Optional(cellStates('Cell state after the step, if the model has an lstm.')),
    y: Type.Optional(
      matrix('Output of the layers behind the last recurrent one, (N, O), if there are any: the readout of h.'),
    ),
    trace: Type.Optional(Type.Union([ref(StepTrace), ref(StepLayersTrace)])),
    session: Type.Optional(ref(SessionMark)),
  },
  { $id: 'StepReply', additionalProperties: false },
);
