// What is decided before a body is read: whether this request may be served at all.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CarryoverError } from '../errors.ts';
import { Lifetime } from '../lifetime.ts';
import type { BodyBudget } from './body-budget.ts';

export interface AdmissionOptions {
  readonly bodyBytesMax: number;
  readonly isClosing: () => boolean;
  /** From the head of a request until its answer. */
  readonly deadlineMs: number;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Until when the request is worth working on: its deadline, or the end of its connection. */
    lifetime: Lifetime;
    /** What gives back the memory of its body and of its answer; undefined when it was given back. */
    releases: (() => void)[] | undefined;
  }
}

/** Lets go of what a request holds, before its answer has ended: from then on it needs nothing of it. */
export function dropBody(request: FastifyRequest): void {
  const { releases = [] } = request;
  request.body = undefined;
  request.releases = undefined;
  for (const release of releases) release();
}

/**
 * Has `release` called when nothing of the request is needed any more, at the latest when its answer has
 * been taken by the system or its connection is lost; at once if that is so already.
 *
 * @returns whether it is still needed
 */
export function holdFor(request: FastifyRequest, release: () => void): boolean {
  if (request.releases) request.releases.push(release);
  else release();
  return isHeld(request);
}

/** Whether the memory of a request's body is still its own. */
export function isHeld({ releases }: FastifyRequest): boolean {
  return releases !== undefined;
}

export function admission(
  app: FastifyInstance,
  budget: BodyBudget,
  options: AdmissionOptions,
): void {
  const admit = (request: FastifyRequest, reply: FastifyReply) => {
    request.lifetime = new Lifetime(request.raw.socket, options.deadlineMs);
    if (options.isClosing()) {
      void reply.header('connection', 'close');
      throw new CarryoverError('shutting_down', { detail: 'This instance takes no new requests.' });
    }
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      throw new CarryoverError('unsupported_media_type', {
        detail: `Expected an uncompressed body, got Content-Encoding: ${encoding.slice(0, 40)}.`,
      });
    }
    const bytes = declaredBytes(request.headers, options.bodyBytesMax);
    budget.claim(bytes);
    request.releases = [() => budget.release(bytes)];
    reply.raw.once('close', () => {
      request.lifetime.close();
      dropBody(request);
    });
  };
  app.decorateRequest('lifetime');
  app.decorateRequest('releases', undefined);
  // Not async: a promise for every request would be made, and awaited, for nothing.
  app.addHook('onRequest', (request, reply, done) => {
    try {
      admit(request, reply);
    } catch (error) {
      return done(error as Error);
    }
    done();
  });
}

/** A body without a declared length (chunked) may be as long as a body can be. */
function declaredBytes(headers: NodeJS.Dict<string | string[]>, bodyBytesMax: number): number {
  if (headers['transfer-encoding'] !== undefined) return bodyBytesMax;
  return Math.min(Number(headers['content-length'] ?? 0) || 0, bodyBytesMax);
}
