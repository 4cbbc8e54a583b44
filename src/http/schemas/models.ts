import { Type } from 'typebox';
import { NAME_PATTERN } from '../../models/registry.ts';
import { ref } from './ref.ts';
import { Weights, matrix, vector } from './tensor.ts';

/** A name, or an id. */
export const ModelRef = Type.String({
  minLength: 1,
  maxLength: 128,
  description: 'A registered model: its name, or its id `sha256:…`.',
});

const Name = Type.String({
  pattern: NAME_PATTERN,
  description: 'Letters, digits, dot, dash and underscore; the name may be moved later.',
});

export const ModelBody = Type.Object(
  {
    weights: ref(Weights),
    name: Type.Optional(Name),
    readout: Type.Optional(
      Type.Object(
        {
          W_y: matrix('Readout weights, (H, O).'),
          b_y: Type.Optional(vector('Readout bias, (O); absent means 0.')),
        },
        {
          additionalProperties: false,
          description: 'With a readout, answers also carry y = h W_y + b_y.',
        },
      ),
    ),
  },
  {
    $id: 'ModelBody',
    additionalProperties: false,
    examples: [
      {
        name: 'tiny',
        weights: {
          W_x: [[0.5, -0.25]],
          W_h: [
            [0.1, 0.2],
            [-0.3, 0.4],
          ],
          b: [0.01, -0.02],
        },
        readout: { W_y: [[1], [-1]], b_y: [0.5] },
      },
    ],
  },
);

export const ModelInfo = Type.Object(
  {
    id: Type.String({ description: 'sha256 of the float32 values: the same weights, the same id.' }),
    names: Type.Array(Type.String(), { description: 'Names that point to it, oldest first.' }),
    D: Type.Integer({ description: 'Input size.' }),
    H: Type.Integer({ description: 'Hidden size.' }),
    O: Type.Optional(Type.Integer({ description: 'Outputs of the readout, if there is one.' })),
    bytes: Type.Integer({ description: 'Packed, in memory.' }),
    created_at: Type.String({ format: 'date-time' }),
  },
  { $id: 'ModelInfo', additionalProperties: false },
);

export const ModelList = Type.Object(
  { models: Type.Array(ref(ModelInfo)) },
  { $id: 'ModelList', additionalProperties: false },
);

export const PointBody = Type.Object(
  { model: ModelRef },
  {
    $id: 'PointBody',
    additionalProperties: false,
    description: 'What the name shall point to.',
    examples: [{ model: 'tiny' }],
  },
);

export const ModelQuery = Type.Object(
  { name: Type.Optional(Name) },
  { additionalProperties: false },
);

export const NameParams = Type.Object({ name: Name });
export const RefParams = Type.Object({ ref: ModelRef });
