// What a route asks of those who call it, and what is known of a caller.
import type { FastifyRequest } from 'fastify';
import { type Principal, type Scope, allows } from '../access/principal.ts';
import { CarryoverError } from '../errors.ts';
import { addressOf } from './route-address.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scopes that its callers need, all of them; `public` for everybody. Every route says so. */
    access?: 'public' | readonly Scope[];
  }
  interface FastifyRequest {
    /** Undefined at a public route, and where neither keys nor tokens are configured. */
    principal: Principal | undefined;
  }
}

/** @throws forbidden unless the caller has the scope; without keys and tokens everybody has all */
export function expectScope(request: FastifyRequest, scope: Scope): void {
  const { principal } = request;
  if (!principal || allows(principal, scope)) return;
  const has = [...principal.scopes].join(', ') || 'none';
  throw new CarryoverError('forbidden', {
    detail: `${addressOf(request)} needs the scope ${scope} here; this key or token has ${has}.`,
  });
}

/** Why who has opened a WebSocket may not use it any longer; undefined as long as it may. */
export function accessRefusal({ principal }: Pick<FastifyRequest, 'principal'>): CarryoverError | undefined {
  if (!principal || principal.isCurrent()) return undefined;
  return new CarryoverError('unauthenticated', {
    detail: 'The API key or token with which this WebSocket was opened is not good any more.',
  });
}
