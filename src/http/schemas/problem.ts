import { Type } from 'typebox';
import { ERRORS, type ErrorCode } from '../../error-kinds.ts';
import type { CarryoverError } from '../../errors.ts';
import type { PublicAddress } from '../public-address.ts';
import { ref } from './ref.ts';

export const PROBLEM_TYPE = 'application/problem+json';

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'Address of the page that explains this code.' }),
    title: Type.String({ description: 'What kind of error, the same for every occurrence.' }),
    status: Type.Integer(),
    detail: Type.String({ description: 'What was wrong this time, and what was expected.' }),
    instance: Type.String({ description: 'The request id, also in the header x-request-id.' }),
    trace_id: Type.Optional(
      Type.String({ pattern: '^[0-9a-f]{32}$', description: 'The trace that the request is part of, if it is part of one.' }),
    ),
    code: Type.Enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]], {
      description: 'Stable name of the error.',
    }),
    errors: Type.Array(
      Type.Object(
        {
          pointer: Type.String({ description: 'JSON pointer into the body, e.g. /x/3/7.' }),
          message: Type.String(),
        },
        { additionalProperties: false },
      ),
      { description: 'The places in the body that are wrong, as far as they are known.' },
    ),
    applied: Type.Optional(
      Type.Enum(['no', 'unknown', 'yes'], {
        description:
          'Of calls on a session: `no`: surely not applied, neither now nor earlier with the same ' +
          'Idempotency-Key; `unknown`: perhaps; `yes`: applied when it came before with the same key, ' +
          'and only its answer cannot be given now. Repeating it with its key is safe in all three.',
      }),
    ),
    t: Type.Optional(Type.Integer({ description: 'Steps that the session has taken.' })),
    version: Type.Optional(Type.Integer({ description: 'Version at which the session is.' })),
    reason: Type.Optional(
      Type.Enum(['deleted', 'expired'], { description: 'Why the session is gone.' }),
    ),
    at: Type.Optional(Type.String({ format: 'date-time', description: 'Since when it is gone.' })),
    kept: Type.Optional(
      Type.Array(Type.Integer(), { description: 'Steps whose states the session keeps.' }),
    ),
  },
  {
    $id: 'Problem',
    additionalProperties: false,
    description: 'An error, RFC 9457.',
  },
);

/** A problem as it is sent, in the fields of RFC 9457 and our own. @param instance the id of the request */
export function problemBody(error: CarryoverError, instance: string, publicAddress: PublicAddress, traceId?: string) {
  const { code, kind, message, errors, members } = error;
  return {
    type: publicAddress.problemType(code),
    title: kind.title,
    status: kind.status,
    detail: message,
    instance,
    trace_id: traceId,
    code,
    errors,
    ...members,
  };
}

/** The `response` entries of a route for the given codes, grouped by status. */
export function problemResponses(codes: readonly ErrorCode[]) {
  const byStatus = Map.groupBy(codes, (code) => ERRORS[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' '),
        content: { [PROBLEM_TYPE]: { schema: ref(Problem) } },
      },
    ]),
  );
}

/** What any route that is not public can answer. */
export const ACCESS_ERRORS = ['unauthenticated', 'forbidden', 'rate_limited'] as const satisfies readonly ErrorCode[];

/** What any route with a JSON body can answer before it computes. */
export const BODY_ERRORS = [
  'malformed_json',
  'duplicate_key',
  'invalid_request',
  'ragged_array',
  'request_timeout',
  'body_too_large',
  'unsupported_media_type',
] as const satisfies readonly ErrorCode[];

/** The further errors of a route that accepts and returns safetensors. */
export const FILE_ERRORS = [
  'malformed_safetensors',
  'not_acceptable',
] as const satisfies readonly ErrorCode[];

/** What a computation can answer. */
export const COMPUTE_ERRORS = [
  'shape_mismatch',
  'out_of_range',
  'not_finite',
  'model_unsupported',
  'limit_exceeded',
  'internal',
  'worker_failed',
  'queue_full',
  'deadline_exceeded',
  'memory_full',
  'shutting_down',
] as const satisfies readonly ErrorCode[];

/** What a route that registers weights can answer besides. */
export const REGISTER_ERRORS = [
  'shape_mismatch',
  'out_of_range',
  'limit_exceeded',
  'internal',
  'memory_full',
  'shutting_down',
  'store_unavailable',
  'models_full',
  'store_full',
] as const satisfies readonly ErrorCode[];

/** What a call that changes a session can answer besides what it computes. */
export const SESSION_ERRORS = [
  'session_not_found',
  'idempotency_key_in_use',
  'session_gone',
  'step_conflict',
  'idempotency_key_reused',
  'answer_not_kept',
  'session_corrupt',
  'session_busy',
  'store_unavailable',
  'store_full',
] as const satisfies readonly ErrorCode[];
