// The headers of responses in the OpenAPI document: which response has which, and what they mean.
import { ERRORS, type ErrorCode } from '../../error-kinds.ts';

interface Header {
  readonly description: string;
  readonly schema: { readonly type: 'string' | 'integer' };
}

const text = (description: string): Header => ({ description, schema: { type: 'string' } });

/** By their names, under `components`. */
export const HEADERS: Readonly<Record<string, Header>> = {
  'X-Request-Id': text('The id of the request, which is also `instance` of an error and in the log.'),
  ETag: text('Of the state of the session after the call: for If-Match of the next one.'),
  'X-Session-Id': text('The session, of a call on one.'),
  Location: text('The path of what was made or named.'),
  'Idempotency-Replayed': text('`true` if the call was applied before with this key, and this is that answer again. Absent otherwise.'),
  'Retry-After': { description: 'Seconds after which the same call may succeed.', schema: { type: 'integer' } },
  RateLimit: text('What is left of each rate of the tenant, if it has any (draft-ietf-httpapi-ratelimit-headers).'),
  'RateLimit-Policy': text('The rates of the tenant, if it has any.'),
  'WWW-Authenticate': text('How a caller says who it is.'),
};

/** Operations whose success has the ETag of a session; of a computation, if it is one on a session. */
const OF_SESSION = ['createSession', 'getSession', 'setState', 'rewindSession', 'forkSession', 'step', 'sequence', 'infer'];
const LOCATED = ['registerModel', 'getModel', 'pointName', 'createSession', 'forkSession'];

export interface DescribedOperation {
  readonly operationId: string;
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly in: string; readonly name?: string }[];
  readonly responses: Readonly<Record<string, DescribedResponse>>;
}

interface DescribedResponse {
  readonly description?: string;
  headers?: Record<string, { readonly $ref: string }>;
}

/** Adds to each response the headers that it may have. */
export function addHeaders(operation: DescribedOperation): void {
  for (const [status, response] of Object.entries(operation.responses)) {
    const names = headersOf(operation, Number(status), response);
    response.headers = Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
  }
}

function headersOf({ operationId, security = [], parameters = [] }: DescribedOperation, status: number, { description = '' }: DescribedResponse): string[] {
  const isSuccess = status >= 200 && status < 300;
  const takesKey = parameters.some(({ in: place, name }) => place === 'header' && name === 'idempotency-key');
  const isPublic = security.length === 0;
  return [
    'X-Request-Id',
    ...(isSuccess && OF_SESSION.includes(operationId) ? ['ETag', 'X-Session-Id'] : []),
    ...(isSuccess && LOCATED.includes(operationId) ? ['Location'] : []),
    ...(isSuccess && takesKey ? ['Idempotency-Replayed'] : []),
    ...(mayPass(description) ? ['Retry-After'] : []),
    // A WebSocket is not opened by a response that has them.
    ...(isPublic || status === 101 ? [] : ['RateLimit', 'RateLimit-Policy']),
    ...(status === 401 || status === 403 ? ['WWW-Authenticate'] : []),
  ];
}

/** Whether any of the errors that the description of a response names passes by waiting. */
function mayPass(description: string): boolean {
  const codes = [...description.matchAll(/`(\w+)`/g)].map(([, code]) => code!);
  return codes.some((code) => Object.hasOwn(ERRORS, code) && 'retryAfter_s' in ERRORS[code as ErrorCode]);
}
