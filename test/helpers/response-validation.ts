// Checks every JSON response against the response schema of its route, for its status, and that each computed one has
// Server-Timing. Not by
// @fastify/response-validation: that sees only values that go through Fastify's serialiser, and here most
// responses are bytes in linear memory or JSON that is made once.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { Problem } from '../../src/http/schemas/problem.ts';
import { ref } from '../../src/http/schemas/ref.ts';
import { InferenceError } from '../../src/http/v2/schemas.ts';

/** Longer ones are tensors for the most part, and take longer to check than to compute. */
const CHECKED_BYTES_MAX = 1024 * 1024;
const JSON_TYPE = /^application\/(problem\+)?json\b/;
const PROBLEM_SCHEMA = ref(Problem);
const ERROR_SCHEMA = ref(InferenceError);
/**
 * Any request may be refused with these before its route is reached: an encoded body, an expectation, another host,
 * a closed connection, a closing or full server. Not every route describes them.
 */
const REFUSALS = [415, 417, 421, 499, 503];

interface ResponseSchema {
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

/**
 * A Fastify plugin, to be registered before those that change responses. A response that does not fit its
 * schema becomes an error 500, and `onMismatch` is called with what is wrong.
 */
export function responseValidation(onMismatch: (mismatch: string) => void) {
  return fp((app: FastifyInstance) => {
    // Their error 500 is a response as well, and not looked at.
    const failed = new WeakSet<FastifyRequest>();
    app.addHook('onSend', (request, reply, payload, done) => {
      if (failed.has(request)) return done(null, payload);
      const wrong = mismatchOf(request, reply, payload);
      if (wrong === undefined) return done(null, payload);
      const mismatch = `${request.method} ${request.url} → ${reply.statusCode}: ${wrong}`;
      onMismatch(mismatch);
      failed.add(request);
      done(new Error(mismatch));
    });
  });
}

function mismatchOf(request: FastifyRequest, reply: FastifyReply, payload: unknown): string | undefined {
  const type = String(reply.getHeader('content-type')).split(';', 1)[0]!;
  const isText = typeof payload === 'string' || Buffer.isBuffer(payload);
  const untimed = untimedAnswer(request, reply);
  if (untimed !== undefined) return untimed;
  if (!isText || !JSON_TYPE.test(type) || payload.length > CHECKED_BYTES_MAX) return undefined;
  const schema = schemaOf(request, reply.statusCode, type);
  if (typeof schema !== 'object') return schema;
  const isValid = request.compileValidationSchema(schema);
  if (isValid(JSON.parse(payload.toString()))) return undefined;
  return JSON.stringify(isValid.errors?.map(({ instancePath, message }) => `${instancePath} ${message}`));
}

/** Whatever was computed and is answered says how long it took. */
function untimedAnswer({ lifetime }: FastifyRequest, reply: FastifyReply): string | undefined {
  const hasComputed = lifetime?.record.computeMs > 0 && reply.statusCode < 300;
  return hasComputed && !reply.hasHeader('server-timing') ? 'it was computed, and has no Server-Timing' : undefined;
}

/** The schema of a response; a string, if the route describes none; undefined, if it describes no responses. */
function schemaOf(request: FastifyRequest, status: number, type: string): object | string | undefined {
  const { schema } = request.routeOptions;
  if (schema?.response === undefined) return type === 'application/json' ? undefined : PROBLEM_SCHEMA;
  const response = (schema.response as Record<number, ResponseSchema>)[status];
  if (response === undefined && REFUSALS.includes(status)) return request.url.startsWith('/v2') ? ERROR_SCHEMA : PROBLEM_SCHEMA;
  if (response === undefined) return 'this status is not described';
  if (response.content === undefined) return type === 'application/json' ? response : `${type} is not described`;
  return response.content[type]?.schema ?? `${type} is not described`;
}
