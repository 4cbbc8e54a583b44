// The type of the Fastify instance that plugins and routes are registered on.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';

/**
 * A Fastify instance whose routes are typed by their TypeBox schemas: `request.body`, `params`, `query` and
 * `headers` have the types of the schemas in the route's options.
 */
export type HttpServer = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;
