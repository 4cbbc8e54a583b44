// One log line for each request, when its response is closed or its connection is lost. It has no headers, no bodies and
// no address, so no secrets and no tensors: the address of a session is its key.
import type { FastifyBaseLogger } from 'fastify';
import { sessionHash } from '../session-hash.ts';
import type { EndedRequest, RequestEndListener } from './request-end.ts';

/** `sha256:` and the digits of a model's id that tell it from others. */
const MODEL_CHARACTERS = 'sha256:'.length + 12;

/** Undefined if no such line would be written. Without a logger Fastify's own, which has no levels, takes its place. */
export function accessLog(log: FastifyBaseLogger): RequestEndListener | undefined {
  const { isLevelEnabled } = log as { isLevelEnabled?: (level: string) => boolean };
  return isLevelEnabled?.call(log, 'info') ? logRequest : undefined;
}

/** What is not known is left out; so are N, T and the model of a request that computed nothing. */
function logRequest(ended: EndedRequest, log: FastifyBaseLogger): void {
  const { record, sessionId, errorCode, unanswered } = ended;
  const hasComputed = record?.modelId !== undefined;
  log.info(
    {
      method: ended.method,
      route: ended.route,
      statusCode: ended.statusCode,
      durationMs: ended.durationMs,
      bytesIn: ended.bytesIn,
      bytesOut: ended.bytesOut,
      client: ended.client,
      tenant: ended.tenant,
      model: record?.modelId?.slice(0, MODEL_CHARACTERS),
      N: hasComputed ? record.N : undefined,
      T: hasComputed ? record.T : undefined,
      session: sessionId === undefined ? undefined : sessionHash(sessionId),
      code: errorCode,
      unanswered,
    },
    'request',
  );
}
