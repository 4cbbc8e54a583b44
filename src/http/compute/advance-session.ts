// Steps and sequences on a session: computed and printed, committed, then sent.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ResponseBody } from '../../codec/response-body.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import type { SessionCompute } from '../../engine/session-compute.ts';
import { type ResponseWriter, sendBytes } from '../responses/response-writer.ts';
import { expectScope } from '../access.ts';
import { markReplayed } from '../sessions/replies.ts';
import { sessionHeaders, sessionMark } from '../sessions/representation.ts';
import { callOf } from '../sessions/session-call.ts';
import { type Computation, expectSessionOnly } from './computation.ts';

export interface AdvanceSessionParts {
  readonly sessionCompute: SessionCompute;
  readonly responses: ResponseWriter;
}

/**
 * Advances a session and sends the response as `type`.
 *
 * @throws forbidden · invalid_request · as SessionCompute.advance
 */
export async function advanceSession<Request extends Computation>(
  { sessionCompute, responses }: AdvanceSessionParts,
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  id: string,
  computation: Request,
  responseBodyOf: (result: RecurrenceTensors, computation: Request) => ResponseBody,
): Promise<FastifyReply> {
  expectScope(request, 'sessions');
  expectSessionOnly(computation);
  const call = callOf(request);
  const { printed, after, replayed } = await sessionCompute.advance(
    id,
    call,
    computation.input,
    (result, session) => {
      const fields = { session: sessionMark(session) };
      return responses.write(request, type, { ...responseBodyOf(result, computation), fields });
    },
  );
  void reply.headers(sessionHeaders(after));
  markReplayed(reply, replayed);
  return sendBytes(reply, type, printed);
}
