// Tensors as JSON: nested arrays of numbers, the first axis outermost. Sizes are not part of the
// schemas: how they must agree is said, and checked, by engine/shapes.ts.
import { Type } from 'typebox';

const number = Type.Number();

export const vector = (description: string) => Type.Array(number, { minItems: 1, description });

export const matrix = (description: string) =>
  Type.Array(Type.Array(number, { minItems: 1 }), { minItems: 1, description });

export const cube = (description: string) =>
  Type.Array(Type.Array(Type.Array(number, { minItems: 1 }), { minItems: 1 }), {
    minItems: 1,
    description,
  });

export const Weights = Type.Object(
  {
    W_x: matrix('Input weights, (D, H).'),
    W_h: matrix('Hidden (recurrent) weights, (H, H).'),
    b: Type.Optional(
      Type.Union([vector('(H)'), matrix('(1, H)')], {
        description: 'Bias, (H) or (1, H), added to every row; absent means 0.',
      }),
    ),
  },
  {
    $id: 'Weights',
    additionalProperties: false,
    description:
      'Weights of one recurrent layer, on the right of row vectors: z = h W_h + x W_x + b. ' +
      "torch's weight_ih and weight_hh are the transposes of W_x and W_h.",
  },
);
