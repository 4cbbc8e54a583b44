// Headers of session calls and query parameters that a route does not accept are refused before the body is
// read, not ignored: the client that sent them expects an effect.
import type { FastifyRequest, RouteOptions } from 'fastify';
import fp from 'fastify-plugin';
import { invalidRequest } from '../../errors.ts';
import type { HttpServer } from '../http-server.ts';
import { addressOf } from '../route-address.ts';
import { CHANGE_HEADERS, OTHER_CONDITIONS } from '../session-request.ts';

/** Adds the check to every route registered after it that is in the OpenAPI document. */
export const strictInput = fp(
  (app: HttpServer) => {
    app.addHook('onRoute', (route) => {
      if (route.schema?.hide === true) return;
      const parameters = namesIn(route.schema?.querystring);
      const accepted = namesIn(route.schema?.headers);
      const refused = CHANGE_HEADERS.filter((name) => !accepted.includes(name));
      // Where If-Match is accepted, the handler knows whether the call changes a session.
      const conditions = changes(route) && !accepted.includes('if-match') ? OTHER_CONDITIONS : [];
      addFirst(route, (request) => {
        expectHeaders(request, refused);
        expectNoConditions(request, conditions);
        if (request.url.includes('?')) expectParameters(request, parameters);
      });
    });
  },
  { name: 'strict-input', dependencies: ['errors'] },
);

/** Adds a check before the route's own onRequest hooks. */
function addFirst(route: RouteOptions, check: (request: FastifyRequest) => void): void {
  const { onRequest = [] } = route;
  route.onRequest = [
    (request, _reply, done) => {
      try {
        check(request);
      } catch (error) {
        return done(error as Error);
      }
      done();
    },
    ...(Array.isArray(onRequest) ? onRequest : [onRequest]),
  ];
}

function expectHeaders(request: FastifyRequest, refused: readonly string[]) {
  const name = refused.find((header) => request.headers[header] !== undefined);
  if (name === undefined) return;
  throw invalidRequest(
    `The header ${name} has no meaning for ${addressOf(request)}: it belongs to calls that ` +
      'change a session. Leave it out.',
    '',
    'no',
  );
}

function changes({ method }: RouteOptions): boolean {
  return ![method].flat().some((name) => name === 'GET' || name === 'HEAD');
}

function expectNoConditions(request: FastifyRequest, refused: readonly string[]): void {
  const name = refused.find((header) => request.headers[header] !== undefined);
  if (name === undefined) return;
  throw invalidRequest(
    `The header ${name} has no meaning for ${addressOf(request)}. Leave it out: the only conditions are If-Match, of calls ` +
      'that change one session, and `if_match` of an item of a batch.',
    '',
    'no',
  );
}

function expectParameters(request: FastifyRequest, known: readonly string[]): void {
  const unknown = Object.keys(request.query as object).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const takes = known.length === 0 ? 'none; its fields belong into the body' : known.join(', ');
  throw invalidRequest(
    `${JSON.stringify(unknown.slice(0, 40))} is not a query parameter of ` +
      `${addressOf(request)}, which takes ${takes}.`,
    '',
    'no',
  );
}

function namesIn(schema: unknown): readonly string[] {
  return Object.keys((schema as { properties?: object } | undefined)?.properties ?? {});
}
