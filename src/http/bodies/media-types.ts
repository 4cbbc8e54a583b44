// The types of bodies: JSON everywhere, safetensors where an address takes or gives tensors.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import { FRAMINGS } from '../../codec/json/step-events.ts';
import { CarryoverError } from '../../errors.ts';
import { type BodyRoom, deliverBody, receiveBody } from './receive-body.ts';

export const JSON_TYPE = 'application/json';
const SAFETENSORS_TYPE = 'application/vnd.carryover.safetensors';
/** ResponseWriter that are sent while they are computed. */
const STREAM_TYPES = Object.keys(FRAMINGS);
/** How a safetensors file may be announced. */
const FILE_TYPES = [SAFETENSORS_TYPE, 'application/octet-stream'];
const FILE_SCHEMA = { type: 'string', format: 'binary' };

/** Lets the routes of a scope take files: their body is then a Buffer that looks at linear memory. */
export function takeFiles(scope: FastifyInstance, room: BodyRoom): void {
  scope.addContentTypeParser(FILE_TYPES, (request, payload, done) => {
    receiveBody(request, payload, room, (error, file) => {
      if (!file) return done(error);
      deliverBody(request, file.view(), () => file.release(), done);
    });
  });
}

/**
 * `content` of a route's body schema: JSON by its schema, or a file. A file is not validated: it is
 * a view of linear memory, not the string of bytes that its schema in the OpenAPI document says.
 */
export function jsonOrFile<Schema extends TSchema>(schema: Schema) {
  return Type.Unsafe<Static<Schema> | Buffer>({
    content: {
      [JSON_TYPE]: { schema },
      ...Object.fromEntries(FILE_TYPES.map((type) => [type, { schema: {} }])),
    },
  });
}

/** A route's schema as the OpenAPI document has it: files in its body are strings of bytes. */
export function describeFiles<Schema extends { readonly body?: unknown }>(schema: Schema): Schema {
  const { content } = (schema.body ?? {}) as { content?: Record<string, object> };
  if (!content) return schema;
  const files = FILE_TYPES.filter((type) => type in content).map((type) => [type, { schema: FILE_SCHEMA }]);
  return { ...schema, body: { content: { ...content, ...Object.fromEntries(files) } } };
}

/**
 * The type of the answer: what Accept prefers; without one, the kind that the body was.
 *
 * @param streams whether the address can answer in a stream
 * @throws not_acceptable
 */
export function answerType(request: FastifyRequest, streams: boolean): string {
  const types = Buffer.isBuffer(request.body)
    ? [...FILE_TYPES, JSON_TYPE]
    : [JSON_TYPE, ...FILE_TYPES];
  if (streams) types.push(...STREAM_TYPES);
  const { accept } = request.headers;
  if (accept === undefined || accept === '*/*') return types[0]!;
  request.raw.headers.accept = withoutParameters(accept);
  const type = request.accepts().type(types);
  if (typeof type === 'string') return type;
  throw new CarryoverError('not_acceptable', {
    detail:
      `Expected Accept to allow one of ${types.toSorted().join(', ')}, ` +
      `got ${JSON.stringify(accept.slice(0, 100))}.`,
  });
}

/**
 * Negotiation compares the parameters of a media range, and no answer has any: `application/json;
 * charset=utf-8` is JSON. What is left of them is the weight, q.
 */
function withoutParameters(accept: string): string {
  return accept.replaceAll(PARAMETER, (parameter) => (WEIGHT.test(parameter) ? parameter : ''));
}

/** A quoted value may hold commas and semicolons. */
const PARAMETER = /;(?:"(?:[^"\\]|\\.)*"|[^;,"])*/g;
const WEIGHT = /^;\s*q\s*=/i;

/** `content` of a route's answer schema. */
export function answerContent(schema: object, lineSchema: object | undefined) {
  return {
    [JSON_TYPE]: { schema },
    [SAFETENSORS_TYPE]: { schema: FILE_SCHEMA },
    ...(lineSchema && Object.fromEntries(STREAM_TYPES.map((type) => [type, { schema: lineSchema }]))),
  };
}
