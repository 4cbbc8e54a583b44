// Inputs and states as JSON, whose form depends on the model.
import { Type } from 'typebox';
import { cube, matrix, vector } from './tensor.ts';

/** h of one recurrent layer, or of several. */
export const hiddenStates = (description: string) =>
  Type.Union(
    [
      matrix('(N, H), of a model with one recurrent layer in one direction'),
      Type.Array(matrix('(N, H)'), {
        minItems: 1,
        description: 'a list of (N, H), one for each recurrent layer and direction, forward first',
      }),
    ],
    { description },
  );

/** c of one lstm, or of several recurrent layers. */
export const cellStates = (description: string) =>
  Type.Union(
    [
      matrix('(N, H), of a model with one recurrent layer in one direction'),
      Type.Array(Type.Union([matrix('(N, H)'), Type.Null()], { description: '(N, H) of an lstm, else null' }), {
        minItems: 1,
        description: 'a list like that of h, null where a layer has no c',
      }),
    ],
    { description },
  );

export const stepInput = (description: string) =>
  Type.Union([matrix('(N, D)'), vector('(N) integers, if the first layer is an embedding')], { description });

export const sequenceInput = (description: string) =>
  Type.Union([cube('(T, N, D)'), matrix('(T, N) integers, if the first layer is an embedding')], { description });
