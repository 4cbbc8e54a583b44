// What is decided before a body is read: whether this request may be served at all.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CarryoverError } from '../errors.ts';
import type { BodyBudget } from './body-budget.ts';

export interface AdmissionOptions {
  readonly bodyBytesMax: number;
  readonly isClosing: () => boolean;
}

/** What gives back the memory of a request whose body is held. */
const bodies = new WeakMap<FastifyRequest, (() => void)[]>();

/** Lets go of a body that is not needed any more, before its answer has ended. */
export function dropBody(request: FastifyRequest): void {
  request.body = undefined;
  const releases = bodies.get(request) ?? [];
  bodies.delete(request);
  for (const release of releases) release();
}

/** Calls `release` when the body is dropped, at the latest when the answer has ended; false if it has. */
export function whenBodyIsDropped(request: FastifyRequest, release: () => void): boolean {
  const releases = bodies.get(request);
  releases?.push(release);
  return releases !== undefined;
}

export function admission(
  app: FastifyInstance,
  budget: BodyBudget,
  options: AdmissionOptions,
): void {
  const admit = (request: FastifyRequest, reply: FastifyReply) => {
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
    bodies.set(request, [() => budget.release(bytes)]);
    reply.raw.once('close', () => dropBody(request));
  };
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
