// Schemas of the Open Inference Protocol (https://github.com/kserve/open-inference-protocol), version 2.
import { Type } from 'typebox';
import { ERRORS, type ErrorCode } from '../../error-kinds.ts';
import { inferenceStatusOf } from '../responses/inference-error.ts';
import { JSON_TYPE } from '../media-types.ts';
import { ModelRef } from '../models/schemas.ts';
import { ACCESS_ERRORS } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { cube, matrix, vector } from '../schemas/tensor.ts';

const Name = Type.String({ maxLength: 128 });
const Parameters = Type.Optional(
  Type.Record(Type.String(), Type.Unknown(), { description: 'Names and values; which ones, the guide says.' }),
);

const InferenceInput = Type.Object(
  {
    name: Name,
    shape: Type.Array(Type.Integer({ minimum: 0 }), { maxItems: 16 }),
    datatype: Name,
    parameters: Parameters,
    data: Type.Optional(
      Type.Union([vector('one array of all numbers'), matrix('arrays in arrays of this shape'), cube('(T, N, D)')], {
        description: 'The numbers, row-major. Absent if `parameters` has `binary_data_size`.',
      }),
    ),
  },
  { additionalProperties: false },
);

export const InferenceBody = Type.Object(
  {
    id: Type.Optional(Type.String({ maxLength: 1_024, description: 'Returned with the answer.' })),
    model_name: Type.Optional(Type.String({ description: 'If it is given, the one in the address.' })),
    parameters: Parameters,
    inputs: Type.Array(InferenceInput, {
      minItems: 1,
      maxItems: 256,
      description: 'x (T, N, D) or (N, D), or integers (T, N) or (N); perhaps h, c, h.0, c.0 …, and lengths (N).',
    }),
    outputs: Type.Optional(
      Type.Array(Type.Object({ name: Name, parameters: Parameters }, { additionalProperties: false }), {
        maxItems: 256,
        description: 'Of hs, h, c, h.0, c.0 …, ys and y; all if absent.',
      }),
    ),
  },
  {
    $id: 'InferenceBody',
    additionalProperties: false,
    description: 'Tensors may also follow the JSON as bytes, in their order; see the guide.',
  },
);

export const InferenceReply = Type.Object(
  {
    model_name: Type.String(),
    model_version: Type.String(),
    id: Type.Optional(Type.String()),
    outputs: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          datatype: Type.Literal('FP32'),
          shape: Type.Array(Type.Integer()),
          parameters: Type.Optional(Type.Object({ binary_data_size: Type.Integer() }, { additionalProperties: false })),
          data: Type.Optional(
            Type.Union([matrix('(N, H)'), cube('(T, N, H)')], { description: 'Arrays in arrays, of this shape.' }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { $id: 'InferenceReply', additionalProperties: false },
);

export const InferenceError = Type.Object(
  { error: Type.String({ description: 'What was wrong, and what was expected.' }) },
  { $id: 'InferenceError', additionalProperties: false },
);

const Tensor = Type.Object(
  {
    name: Type.String(),
    datatype: Type.String(),
    shape: Type.Array(Type.Integer({ description: '-1 if it may vary.' })),
  },
  { additionalProperties: false },
);

export const InferenceModel = Type.Object(
  {
    name: Type.String(),
    versions: Type.Array(Type.String()),
    platform: Type.String(),
    inputs: Type.Array(Tensor),
    outputs: Type.Array(Tensor),
  },
  { $id: 'InferenceModel', additionalProperties: false },
);

export const InferenceServer = Type.Object(
  { name: Type.String(), version: Type.String(), extensions: Type.Array(Type.String()) },
  { $id: 'InferenceServer', additionalProperties: false },
);

export const Live = Type.Object({ live: Type.Literal(true) }, { additionalProperties: false });

export const Ready = Type.Object(
  { name: Type.Optional(Type.String()), ready: Type.Boolean(), error: Type.Optional(Type.String()) },
  { additionalProperties: false },
);

export const RepositoryIndex = Type.Array(
  Type.Object(
    { name: Type.String(), version: Type.String(), state: Type.Literal('READY'), reason: Type.Literal('') },
    { additionalProperties: false },
  ),
);

export const RepositoryQuery = Type.Object(
  { ready: Type.Optional(Type.Boolean({ description: 'All that are listed are.' })) },
  { $id: 'RepositoryQuery', additionalProperties: false },
);

export const RepositoryCall = Type.Object(
  { parameters: Parameters },
  { $id: 'RepositoryCall', additionalProperties: false },
);

export const ModelParams = Type.Object({ model: ModelRef });
export const VersionParams = Type.Object({ model: ModelRef, version: Type.String({ description: '`1`: there is no other.' }) });

/** The `response` entries of a route for the given codes, grouped by status. */
export function errorResponses(codes: readonly ErrorCode[], isPublic = false) {
  const all = isPublic ? codes : [...codes, ...ACCESS_ERRORS];
  return Object.fromEntries(
    [...Map.groupBy(all, inferenceStatusOf)].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' '),
        content: { [JSON_TYPE]: { schema: ref(InferenceError) } },
      },
    ]),
  );
}

export const INFERENCE_SCHEMAS = [
  InferenceBody,
  InferenceReply,
  InferenceError,
  InferenceModel,
  InferenceServer,
  RepositoryQuery,
  RepositoryCall,
];
