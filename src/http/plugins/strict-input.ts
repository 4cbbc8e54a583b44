// What an address does not understand is refused before the body is read, not dropped: who sent it meant
// something by it.
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify';
import { invalidRequest } from '../../errors.ts';
import { addressOf } from '../route-address.ts';
import { PROMISES } from '../sessions/session-call.ts';

/** For every route that is added from now on, apart from those that are not in the OpenAPI document. */
export function strictInput(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.schema?.hide === true) return;
    const parameters = namesIn(route.schema?.querystring);
    const headers = namesIn(route.schema?.headers);
    const others = PROMISES.filter((name) => !headers.includes(name));
    addFirst(route, (request) => {
      expectHeaders(request, others);
      if (request.url.includes('?')) expectParameters(request, parameters);
    });
  });
}

function addFirst(route: RouteOptions, expect: (request: FastifyRequest) => void): void {
  const { onRequest = [] } = route;
  route.onRequest = [
    (request, _reply, done) => {
      try {
        expect(request);
      } catch (error) {
        return done(error as Error);
      }
      done();
    },
    ...(Array.isArray(onRequest) ? onRequest : [onRequest]),
  ];
}

function expectHeaders(request: FastifyRequest, others: readonly string[]) {
  const name = others.find((other) => request.headers[other] !== undefined);
  if (name === undefined) return;
  throw invalidRequest(
    `The header ${name} has no meaning for ${addressOf(request)}: it belongs to calls that ` +
      'change a session. Leave it out.',
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
