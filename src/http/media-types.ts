// The media types of bodies and responses: JSON everywhere, safetensors where an address accepts or returns
// tensors, and streams; with the choice among them by `Accept`.
import type { FastifyRequest } from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import { FRAMINGS } from '../codec/json/step-events.ts';
import { CarryoverError } from '../errors.ts';

export const JSON_TYPE = 'application/json';
/** A JSON document on each line. */
export const NDJSON_TYPE = 'application/x-ndjson';
const SAFETENSORS_TYPE = 'application/vnd.carryover.safetensors';
/** Responses that are sent while they are computed. */
const STREAM_TYPES = Object.keys(FRAMINGS);
/** The content types under which a safetensors file is accepted. */
export const FILE_TYPES = [SAFETENSORS_TYPE, 'application/octet-stream'];
/** The content types under which a model file of any format is accepted: the format follows from the content. */
export const MODEL_FILE_TYPES = [...FILE_TYPES, 'application/onnx'];
const FILE_SCHEMA = { type: 'string', format: 'binary' };

/**
 * The body schema of a route that accepts JSON or a file. A file is not validated by a schema: it
 * arrives as a Buffer over linear memory, not as the string of bytes that the OpenAPI document describes.
 *
 * @param types of the file
 */
export function jsonOrFile<Schema extends TSchema>(schema: Schema, types: readonly string[] = FILE_TYPES) {
  return Type.Unsafe<Static<Schema> | Buffer>({
    content: {
      [JSON_TYPE]: { schema },
      ...Object.fromEntries(types.map((type) => [type, { schema: {} }])),
    },
  });
}

/** A route's schema as the OpenAPI document shows it: files in its body are strings of bytes. */
export function describeFiles<Schema extends { readonly body?: unknown }>(schema: Schema): Schema {
  const { content } = (schema.body ?? {}) as { content?: Record<string, object> };
  if (!content) return schema;
  const files = MODEL_FILE_TYPES.filter((type) => type in content).map((type) => [type, { schema: FILE_SCHEMA }]);
  return { ...schema, body: { content: { ...content, ...Object.fromEntries(files) } } };
}

/** `content` of a route's response schema. */
export function responseContent(schema: object, lineSchema: object | undefined) {
  return {
    [JSON_TYPE]: { schema },
    [SAFETENSORS_TYPE]: { schema: FILE_SCHEMA },
    ...(lineSchema && Object.fromEntries(STREAM_TYPES.map((type) => [type, { schema: lineSchema }]))),
  };
}

/** `content` of the response to a batch, in each of its forms. */
export function batchContent(schema: object) {
  return { ...responseContent(schema, undefined), [NDJSON_TYPE]: { schema: { type: 'string' } } };
}

/**
 * The type of the response: what `Accept` prefers; without `Accept`, JSON for a JSON body and a file for a file.
 *
 * @param streams whether the address can answer with a stream
 * @throws not_acceptable
 */
export function responseType(request: FastifyRequest, streams: boolean): string {
  const types = Buffer.isBuffer(request.body)
    ? [...FILE_TYPES, JSON_TYPE]
    : [JSON_TYPE, ...FILE_TYPES];
  if (streams) types.push(...STREAM_TYPES);
  return preferredType(request, types);
}

/**
 * The type of the response to a sequence on a session, which is sent after the commit, when all of it is there: never as a
 * stream.
 *
 * @throws not_acceptable
 */
export function sessionResponseType(request: FastifyRequest): string {
  try {
    return responseType(request, false);
  } catch (error) {
    const stream = request.accepts().type([...STREAM_TYPES]);
    if (typeof stream !== 'string') throw error;
    throw new CarryoverError('not_acceptable', {
      detail:
        `Accept asks for a stream (${stream}), which only a call without a session has: a session answers when its steps are ` +
        `committed. Let Accept allow ${JSON_TYPE} or ${SAFETENSORS_TYPE}, send the steps over the session's WebSocket ` +
        '(GET /v1/sessions/{id}/stream) or in items of POST /v1/batch, or leave out the session.',
      cause: error,
    });
  }
}

/** The one of `types` that `Accept` prefers; without it, the first. @throws not_acceptable */
export function preferredType(request: FastifyRequest, types: readonly string[]): string {
  const { accept } = request.headers;
  if (accept === undefined || accept === '*/*') return types[0]!;
  request.raw.headers.accept = withoutParameters(accept);
  const type = request.accepts().type([...types]);
  if (typeof type === 'string') return type;
  throw new CarryoverError('not_acceptable', {
    detail:
      `Expected Accept to allow one of ${types.toSorted().join(', ')}, ` +
      `got ${JSON.stringify(accept.slice(0, 100))}.`,
  });
}

/**
 * The header without the parameters of its media ranges, apart from the weight q. Negotiation would compare
 * them, and no response has any: `application/json; charset=utf-8` accepts JSON.
 */
function withoutParameters(accept: string): string {
  return accept.replaceAll(PARAMETER, (parameter) => (WEIGHT.test(parameter) ? parameter : ''));
}

/** A quoted value may contain commas and semicolons. */
const PARAMETER = /;(?:"(?:[^"\\]|\\.)*"|[^;,"])*/g;
const WEIGHT = /^;\s*q\s*=/i;
