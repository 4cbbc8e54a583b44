// What the schemas of /v1/step and /v1/sequence have in common.
import type { TSchema } from 'typebox';
import { responseContent, jsonOrFile } from '../media-types.ts';
import { BODY_ERRORS, COMPUTE_ERRORS, FILE_ERRORS, problemResponses, SESSION_ERRORS } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { ComputeHeaders } from '../sessions/schemas.ts';

/** A computation on a session needs the scope `sessions` too; see advance-session.ts. */
export const COMPUTE_ACCESS = { access: ['compute'] } as const;

/**
 * The parts of a route's schema that follow from those of its body and its response.
 *
 * @param line of a stream, if the route can answer in one
 */
export function computeSchema<Body extends TSchema>(body: Body, reply: TSchema, line?: TSchema) {
  return {
    tags: ['compute'],
    headers: ComputeHeaders,
    body: jsonOrFile(ref(body)),
    response: {
      200: { description: 'Computed; the header Server-Timing has the ms of its parts.', content: responseContent(ref(reply), line && ref(line)) },
      ...problemResponses([
        ...BODY_ERRORS,
        ...FILE_ERRORS,
        'model_not_found',
        'model_corrupt',
        ...COMPUTE_ERRORS,
        ...SESSION_ERRORS,
      ]),
    },
  };
}
