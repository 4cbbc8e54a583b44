// Which bodies a route accepts, and the errors for all others: of another type, missing, or not expected.
import type { FastifyRequest } from 'fastify';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import { JSON_TYPE } from '../media-types.ts';
import { addressOf } from '../route-address.ts';

/** The value of a charset parameter of a Content-Type. */
const CHARSET = /;\s*charset\s*=\s*"?([^\s";]*)/i;
/** JSON is UTF-8 (RFC 8259, section 8.1), of which US-ASCII is a part. */
const JSON_CHARSETS = ['utf-8', 'utf8', 'us-ascii', 'ascii'];

/** How much of an unsupported Content-Type is repeated. */
const SHOWN_CHARACTERS_MAX = 60;

/** Whether the route accepts a body at all. */
export function acceptsBody({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.schema?.body !== undefined;
}

/** Whether the route accepts a file under the Content-Type of the request. */
export function acceptsFile(request: FastifyRequest): boolean {
  const types = bodyTypes(request);
  const [type] = (request.headers['content-type'] ?? '').split(';');
  return types.includes(type!.trim().toLowerCase());
}

/** Whether a JSON body is announced in UTF-8, which it is if its Content-Type names no charset. */
export function isJsonInUtf8({ headers }: FastifyRequest): boolean {
  const charset = CHARSET.exec(headers['content-type'] ?? '')?.[1];
  return charset === undefined || JSON_CHARSETS.includes(charset.toLowerCase());
}

/** The content types that the route accepts: JSON alone, unless its body schema has a `content` for each type. */
function bodyTypes({ routeOptions }: FastifyRequest): string[] {
  const schema: unknown = routeOptions.schema?.body;
  if (schema === undefined) return [];
  const { content } = schema as { content?: Record<string, unknown> };
  return content ? Object.keys(content) : [JSON_TYPE];
}

/**
 * The error of a request whose body does not match its route: it is missing where the route needs one, or has
 * content where the route accepts none. `{}` and `null` count as no content. Undefined if the body matches.
 */
export function bodyMismatch(request: FastifyRequest): CarryoverError | undefined {
  const { body } = request;
  const accepts = acceptsBody(request);
  if (accepts && body === undefined) return missingBody(request);
  if (!accepts && body !== undefined && !isEmpty(body)) return unexpectedBody(request);
  return undefined;
}

/** The error unsupported_media_type for a body of a type, or JSON of a charset, that the route does not accept. */
export function unsupportedType(request: FastifyRequest): CarryoverError {
  const types = isJsonInUtf8(request) ? bodyTypes(request) : bodyTypes(request).map(withCharset);
  const type = request.headers['content-type'];
  const got = type === undefined ? 'none' : JSON.stringify(type.slice(0, SHOWN_CHARACTERS_MAX));
  return new CarryoverError('unsupported_media_type', {
    detail:
      types.length === 0
        ? `${addressOf(request)} takes no body, got one of type ${got}.`
        : `${addressOf(request)} takes a body of Content-Type ${types.join(' or ')}, got ${got}.`,
  });
}

/** Of JSON the charset is expected. */
function withCharset(type: string): string {
  return type === JSON_TYPE ? `${JSON_TYPE} in UTF-8` : type;
}

function missingBody(request: FastifyRequest): CarryoverError {
  const types = bodyTypes(request).join(' or ');
  return invalidRequest(`${addressOf(request)} needs a body, of Content-Type ${types}; the request has none.`);
}

function unexpectedBody(request: FastifyRequest): CarryoverError {
  return invalidRequest(`${addressOf(request)} takes no body; expected none, or {}.`);
}

function isEmpty(body: unknown): boolean {
  return body === null || (typeof body === 'object' && Object.keys(body).length === 0);
}
