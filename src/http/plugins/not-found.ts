// 404 for an address that no route has, before its body is read, and the answers to the target `*`, which is no address.
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import { SERVED_METHODS } from '../connections/client-errors.ts';
import { closeAfterEarlyResponse } from '../connections/early-response.ts';
import type { HttpServer } from '../http-server.ts';
import { refusalOfMethod } from './method-not-allowed.ts';

/** How much of an unknown address is repeated. */
const SHOWN_CHARACTERS_MAX = 200;

export const notFound = fp(
  (app: HttpServer) => {
    app.addHook('onRequest', (request, reply, done) => {
      // Fastify's router takes it for `/`.
      if (request.originalUrl === '*') return answerToAll(request, reply, done);
      done(request.is404 ? (refusalOfMethod(request, reply) ?? unknownAddress(request)) : undefined);
    });
    app.setNotFoundHandler((request) => {
      throw unknownAddress(request);
    });
  },
  // Whether the request may be answered at all is decided first.
  { name: 'not-found', dependencies: ['admission', 'errors'] },
);

/** `OPTIONS *` asks about the server as a whole (RFC 9110, section 9.3.7); no other method has this target. */
function answerToAll(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
  const { method } = request;
  if (method !== 'OPTIONS') {
    return done(invalidRequest(`Expected a path, such as /docs, as the target of ${method}, got *, which only OPTIONS may have.`));
  }
  closeAfterEarlyResponse(request, reply);
  void reply.code(204).header('allow', SERVED_METHODS).send();
}

function unknownAddress({ method, originalUrl, server }: FastifyRequest): CarryoverError {
  const shown = originalUrl.slice(0, SHOWN_CHARACTERS_MAX);
  return new CarryoverError('not_found', {
    detail: `Nothing is served at ${method} ${shown}; GET ${server.publicAddress.pathOf('/docs')} lists the addresses.`,
  });
}
