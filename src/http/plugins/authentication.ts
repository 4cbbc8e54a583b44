// Decides who may call a route, before its body is read and before a WebSocket is accepted.
import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import fp from 'fastify-plugin';
import type { Access } from '../../access/access.ts';
import type { Principal, Scope } from '../../access/principal.ts';
import { CarryoverError } from '../../errors.ts';
import { expectScope } from '../access.ts';
import type { HttpServer } from '../http-server.ts';
import { ACCESS_ERRORS, problemResponses } from '../schemas/problem.ts';
import { SESSION_HEADER } from '../session-request.ts';

const AUTHORIZATION = 'authorization';

export interface AuthenticationOptions {
  /** Undefined if everybody may call everything. */
  readonly access: Access | undefined;
}

export const authentication = fp(
  (app: HttpServer, { access }: AuthenticationOptions) => {
    app.decorateRequest('principal', undefined);
    app.addHook('onRoute', expectAccessSaid);
    if (!access) return;
    app.addHook('onRequest', (request, reply, done) => {
      const { access: needed = 'public' } = request.routeOptions.config;
      if (needed === 'public') return done();
      // Not async: with an API key nothing is waited for.
      try {
        expectOneAuthorization(request.raw);
        const principal = access.authenticate(request.headers);
        if (principal instanceof Promise) return void admitLater(principal, request, reply, needed, done);
        admit(principal, request, needed);
      } catch (error) {
        challenge(reply, error);
        return done(error as Error);
      }
      return done();
    });
  },
  { name: 'authentication', dependencies: ['admission'] },
);

/** @throws forbidden unless the caller has all scopes that the route, and a session named in a header, need */
function admit(principal: Principal, request: FastifyRequest, needed: readonly Scope[]): void {
  request.principal = principal;
  request.lifetime.tenant = principal.tenant;
  for (const scope of needed) expectScope(request, scope);
  if (request.headers[SESSION_HEADER] !== undefined) expectScope(request, 'sessions');
}

async function admitLater(
  principal: Promise<Principal>,
  request: FastifyRequest,
  reply: FastifyReply,
  needed: readonly Scope[],
  done: (error?: Error) => void,
): Promise<void> {
  try {
    admit(await principal, request, needed);
  } catch (error) {
    challenge(reply, error);
    return done(error as Error);
  }
  done();
}

/** A route that is forgotten is not served to everybody: the service does not start. */
function expectAccessSaid(route: RouteOptions): void {
  const { schema, config, url, method } = route;
  if (schema?.hide === true || config?.access === 'public') return;
  if (config?.access === undefined) throw new Error(`${String(method)} ${url} does not say who may call it (config.access)`);
  const { response } = schema as { readonly response?: object };
  route.schema = { ...schema, response: { ...problemResponses(ACCESS_ERRORS), ...response } };
}

/** Node.js takes the first of several headers, and a proxy may have looked at another. @throws unauthenticated */
function expectOneAuthorization({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): void {
  let count = 0;
  for (let k = 0; k < rawHeaders.length; k += 2) {
    const name = rawHeaders[k]!;
    if (name.length === AUTHORIZATION.length && name.toLowerCase() === AUTHORIZATION) count++;
  }
  if (count <= 1) return;
  throw new CarryoverError('unauthenticated', { detail: `Expected one header Authorization, got ${count}.` });
}

/** RFC 6750, section 3. */
function challenge(reply: FastifyReply, error: unknown): void {
  const code = error instanceof CarryoverError ? error.code : undefined;
  if (code === 'unauthenticated') void reply.header('www-authenticate', 'Bearer realm="carryover"');
  if (code === 'forbidden') void reply.header('www-authenticate', 'Bearer realm="carryover", error="insufficient_scope"');
}
