// The layers of a model as JSON. Sizes are not part of the schemas: how they must agree is checked by
// engine/layer-sources.ts.
import { type Static, Type } from 'typebox';
import { LAYERS_MAX } from '../../layers.ts';
import { ref } from './ref.ts';
import { Weights, matrix, vector } from './tensor.ts';

const ACTIVATION_OF_DENSE = ['linear', 'relu', 'tanh', 'sigmoid', 'softmax'] as const;

export const EmbeddingLayer = Type.Object(
  {
    type: Type.Literal('embedding'),
    E: matrix('(V, D): the rows that x numbers.'),
  },
  {
    $id: 'EmbeddingLayer',
    additionalProperties: false,
    description: 'Row number x_t of E. Only as the first layer; x is then (N) or (T, N) of integers 0 … V-1.',
  },
);

export const AffineLayer = Type.Object(
  {
    type: Type.Literal('affine'),
    scale: vector('(D)'),
    offset: vector('(D)'),
  },
  {
    $id: 'AffineLayer',
    additionalProperties: false,
    description: 'x ∘ scale + offset, feature by feature: a scaler, or a batch normalisation.',
  },
);

export const DenseLayer = Type.Object(
  {
    type: Type.Literal('dense'),
    W: matrix('(I, O)'),
    b: Type.Optional(vector('(O); absent means 0.')),
    activation: Type.Optional(Type.Enum([...ACTIVATION_OF_DENSE], { description: 'linear if absent.' })),
  },
  { $id: 'DenseLayer', additionalProperties: false, description: 'activation(x W + b)' },
);

/** Of one direction of a recurrent layer with G gates. */
const directed = {
  W_x: matrix('Input weights, (D, G H), the gates side by side.'),
  W_h: matrix('Hidden (recurrent) weights, (H, G H).'),
  b: Type.Optional(vector('Bias of x W_x, (G H); absent means 0.')),
  b_h: Type.Optional(
    vector('Bias of h W_h, (G H); absent means 0. Where both are only added, their sum is used.'),
  ),
};

export const BackwardWeights = Type.Object(directed, {
  $id: 'BackwardWeights',
  additionalProperties: false,
  description: 'Weights of the reverse direction of a bidirectional layer.',
});

const recurrent = {
  ...directed,
  direction: Type.Optional(
    Type.Enum(['forward', 'reverse', 'bidirectional'], {
      description:
        'forward if absent. A reverse layer begins at the last step of each row. The outputs of a bidirectional one ' +
        'stand side by side, forward first. Models with either take whole sequences only.',
    }),
  ),
  backward: Type.Optional(ref(BackwardWeights)),
};

export const RnnLayer = Type.Object(
  {
    type: Type.Literal('rnn'),
    activation: Type.Optional(Type.Enum(['tanh', 'relu'], { description: 'tanh if absent.' })),
    ...recurrent,
  },
  {
    $id: 'RnnLayer',
    additionalProperties: false,
    description: 'h_t = activation(x_t W_x + h_{t-1} W_h + b + b_h); G = 1.',
  },
);

export const GruLayer = Type.Object(
  {
    type: Type.Literal('gru'),
    reset: Type.Optional(
      Type.Enum(['after', 'before'], {
        description:
          'Where r enters n. after (if absent; torch, Keras 2 and newer): ' +
          'n = tanh(x W_xn + b_n + r ∘ (h W_hn + b_hn)). ' +
          "before (ONNX's default): n = tanh(x W_xn + b_n + (r ∘ h) W_hn + b_hn).",
      }),
    ),
    ...recurrent,
  },
  {
    $id: 'GruLayer',
    additionalProperties: false,
    description: 'Gates r, z, n; h_t = (1 - z) ∘ n + z ∘ h_{t-1}; G = 3.',
  },
);

export const LstmLayer = Type.Object(
  { type: Type.Literal('lstm'), ...recurrent },
  {
    $id: 'LstmLayer',
    additionalProperties: false,
    description: 'Gates i, f, g, o; c_t = f ∘ c_{t-1} + i ∘ g, h_t = o ∘ tanh(c_t); G = 4.',
  },
);

const LAYERS = [EmbeddingLayer, AffineLayer, DenseLayer, RnnLayer, GruLayer, LstmLayer] as const;

type AnyLayer = Static<(typeof LAYERS)[number]>;

/** One layer; its `type` says which fields it has. */
export const Layer = Type.Unsafe<AnyLayer>({
  $id: 'Layer',
  type: 'object',
  required: ['type'],
  discriminator: { propertyName: 'type' },
  oneOf: LAYERS.map((layer) => ref(layer)),
});

export const layers = Type.Array(ref(Layer), {
  minItems: 1,
  maxItems: LAYERS_MAX,
  description: 'In order, at least one of them recurrent (rnn, gru, lstm).',
});

export const LayeredWeights = Type.Object({ layers }, { $id: 'LayeredWeights', additionalProperties: false });

type Inline = Static<typeof Weights> | Static<typeof LayeredWeights>;

/** Weights that come with a request: in the short form, or as layers. */
export const InlineWeights = Type.Unsafe<Inline>({
  $id: 'InlineWeights',
  description: 'A model: the weights of one tanh layer, or a list of layers.',
  if: { type: 'object', required: ['layers'], properties: { layers: {} } },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  then: ref(LayeredWeights),
  else: ref(Weights),
});

/** A layer of a registered model, without its weights. */
export const LayerInfo = Type.Object(
  {
    type: Type.Enum(['embedding', 'affine', 'dense', 'rnn', 'gru', 'lstm']),
    V: Type.Optional(Type.Integer({ description: 'Rows of an embedding.' })),
    D: Type.Optional(Type.Integer({ description: 'Inputs; of an embedding its outputs.' })),
    H: Type.Optional(Type.Integer({ description: 'Hidden units of one direction.' })),
    I: Type.Optional(Type.Integer({ description: 'Inputs of a dense layer.' })),
    O: Type.Optional(Type.Integer({ description: 'Outputs of a dense layer.' })),
    direction: Type.Optional(Type.Enum(['forward', 'reverse', 'bidirectional'])),
    activation: Type.Optional(Type.Enum([...ACTIVATION_OF_DENSE])),
    reset: Type.Optional(Type.Enum(['after', 'before'])),
  },
  { $id: 'LayerInfo', additionalProperties: false, description: 'A layer without its weights.' },
);

export const LAYER_SCHEMAS = [...LAYERS, BackwardWeights, Layer, LayeredWeights, InlineWeights, LayerInfo] as const;
