import { Type } from 'typebox';
import { ACTIVATION } from '../../models/import/activation.ts';
import { NAME_LENGTH_MAX, NAME_PATTERN } from '../../models/model-names.ts';
import { pageLimit } from '../schemas/page.ts';
import { ref } from '../schemas/ref.ts';
import { LayerInfo, layers } from '../schemas/layers.ts';
import { Weights, matrix, vector } from '../schemas/tensor.ts';

/** A name, or an id. */
export const ModelRef = Type.String({
  minLength: 1,
  maxLength: NAME_LENGTH_MAX,
  description: 'A registered model: its name, or its id `sha256:…`.',
});

const Name = Type.String({
  pattern: NAME_PATTERN,
  description: 'Letters, digits, dot, dash and underscore; the name may be pointed to another model later.',
});

export const ModelBody = Type.Object(
  {
    weights: Type.Optional(ref(Weights)),
    layers: Type.Optional(layers),
    name: Type.Optional(Name),
    readout: Type.Optional(
      Type.Object(
        {
          W_y: matrix('Readout weights, (H, O).'),
          b_y: Type.Optional(vector('Readout bias, (O); absent means 0.')),
        },
        {
          additionalProperties: false,
          description: 'Beside `weights`. With a readout, answers also carry y = h W_y + b_y.',
        },
      ),
    ),
  },
  {
    $id: 'ModelBody',
    additionalProperties: false,
    description:
      'A model: a list of `layers`, or in the short form the `weights` of one tanh layer and, if it has one, its ' +
      '`readout`, a linear dense layer.',
  },
);

export const ModelInfo = Type.Object(
  {
    id: Type.String({
      description: 'sha256 of the layers and the float32 values of their weights: the same model, the same id.',
    }),
    names: Type.Immutable(
      Type.Array(Type.String(), { description: 'Names that point to it, oldest first.' }),
    ),
    D: Type.Integer({ description: 'Input size; 1 if the first layer is an embedding.' }),
    H: Type.Integer({ description: 'Outputs of the last recurrent layer.' }),
    O: Type.Optional(Type.Integer({ description: 'Outputs of the layers behind it, if there are any.' })),
    activation: Type.Optional(
      Type.Enum([ACTIVATION], { description: 'Of a model of one tanh layer: f in h_t = f(z).' }),
    ),
    layers: Type.Optional(
      Type.Immutable(
        Type.Array(ref(LayerInfo), { description: 'Of any other model: its layers, without their weights.' }),
      ),
    ),
    tensors: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description:
          'In the answer to a file: which tensors of the file each tensor of the model was made from, e.g. ' +
          '`"layers.1.W_x": "lstm.weight_ih_l0 (transposed)"`; of one tanh layer W_x, W_h, b, W_y, b_y.',
      }),
    ),
    notes: Type.Optional(
      Type.Immutable(
        Type.Array(Type.String(), {
          description: 'In the answer to a file of ONNX or Keras: what this service does otherwise than the file, in sentences.',
        }),
      ),
    ),
    bytes: Type.Integer({ description: 'Packed, in memory.' }),
    created_at: Type.String({ format: 'date-time' }),
  },
  { $id: 'ModelInfo', additionalProperties: false },
);

export const ModelList = Type.Object(
  {
    models: Type.Immutable(Type.Array(ref(ModelInfo))),
    next: Type.Optional(Type.String({ description: 'The cursor of the next page, if there is one.' })),
  },
  { $id: 'ModelList', additionalProperties: false },
);

export const ModelListQuery = Type.Object(
  {
    limit: Type.Optional(pageLimit('Models of a page, 1 to 1000; 100 if absent.')),
    cursor: Type.Optional(
      Type.String({ pattern: '^[\\w.:]{1,128}$', description: '`next` of the page before.' }),
    ),
  },
  { additionalProperties: false },
);

export const PointBody = Type.Object(
  { model: ModelRef },
  {
    $id: 'PointBody',
    additionalProperties: false,
    description: 'What the name shall point to.',
  },
);

export const ModelQuery = Type.Object(
  {
    name: Type.Optional(Name),
    activation: Type.Optional(
      Type.String({
        description:
          'Of a file: confirms that the layers were made with `tanh`, or of an RNN `relu`, where the tensor names do not ' +
          'say so (an RNN of torch, any recurrent layer of Keras). May also stand in `__metadata__`.',
      }),
    ),
    readout: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Of a file: the name of the layer that computes y from h, e.g. `head` for `head.weight` and ' +
          '`head.bias`. May also stand in `__metadata__`.',
      }),
    ),
    layers: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Of a file: its layers in their order, in JSON. `name` is the path of a layer in the file; an entry has the ' +
          'options of a layer in JSON, and may name a tensor by itself. May also stand in `__metadata__`, as ' +
          '`carryover.layers`. E.g. `[{"type":"lstm","name":"lstm"},{"type":"dense","name":"head","activation":"softmax"}]`.',
      }),
    ),
  },
  { additionalProperties: false },
);

/** One path has one template, so a name is called `ref` where only a name is accepted. */
export const NameParams = Type.Object({ ref: Name });
export const RefParams = Type.Object({ ref: ModelRef });
