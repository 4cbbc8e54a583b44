// Bodies of a type that an address does not take, and bodies that have no byte.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import type { Done } from './receive-body.ts';
import { addressOf } from '../route-address.ts';

const SHOWN_CHARACTERS_MAX = 60;

/**
 * A body must be there where the address takes one, and must not say anything where it takes none: what
 * is not understood is not dropped.
 */
export function expectBodies(app: FastifyInstance): void {
  app.addHook('preValidation', (request, _reply, done) => {
    const { body } = request;
    const isMissing = body === undefined && takesBody(request);
    if (isMissing) return done(missingBody(request));
    done(body === undefined || takesBody(request) || saysNothing(body) ? undefined : unwanted(request));
  });
}

/** Takes what no other parser takes. Without a single byte there is no body, whatever its type. */
export function otherBodies(app: FastifyInstance): void {
  app.addContentTypeParser('*', (request, payload, done: Done) => {
    const settle = (error: Error | null) => {
      payload.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      done(error);
    };
    const onData = () => settle(unsupportedType(request));
    const onEnd = () => settle(null);
    const onClose = () =>
      settle(Object.assign(new Error('The connection was closed before the body was complete'), {
        statusCode: 400,
      }));
    if (isAnnounced(request)) return done(unsupportedType(request));
    payload.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/** Of a chunked body it is seen when it comes, unless the client waits to be told to send it. */
function isAnnounced({ headers }: FastifyRequest): boolean {
  return Number(headers['content-length'] ?? 0) > 0 || headers.expect !== undefined;
}

export function unsupportedType(request: FastifyRequest): CarryoverError {
  const types = bodyTypes(request);
  const type = request.headers['content-type'];
  const got = type === undefined ? 'none' : JSON.stringify(type.slice(0, SHOWN_CHARACTERS_MAX));
  return new CarryoverError('unsupported_media_type', {
    detail:
      types.length === 0
        ? `${addressOf(request)} takes no body, got one of type ${got}.`
        : `${addressOf(request)} takes a body of Content-Type ${types.join(' or ')}, got ${got}.`,
  });
}

function missingBody(request: FastifyRequest): CarryoverError {
  const types = bodyTypes(request).join(' or ');
  return invalidRequest(`${addressOf(request)} takes a body of Content-Type ${types}, got none.`);
}

function unwanted(request: FastifyRequest): CarryoverError {
  return invalidRequest(`${addressOf(request)} takes no body; expected none, or {}.`);
}

function saysNothing(body: unknown): boolean {
  return body === null || (typeof body === 'object' && Object.keys(body).length === 0);
}

/** Whether the address takes a body at all. */
export function takesBody({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.schema?.body !== undefined;
}

/** JSON alone, unless the schema has a content for each type. */
function bodyTypes({ routeOptions }: FastifyRequest): string[] {
  const schema: unknown = routeOptions.schema?.body;
  if (schema === undefined) return [];
  const { content } = schema as { content?: Record<string, unknown> };
  return content ? Object.keys(content) : ['application/json'];
}
