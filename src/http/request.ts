// What the HTTP layer adds to Fastify's request: the connection, the lifetime, and the memory it holds.
import type { FastifyRequest } from 'fastify';
import type { ErrorCode } from '../error-kinds.ts';
import type { Lifetime } from '../lifetime.ts';
import type { Connection } from './connections/connection.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The TCP connection it arrived on; undefined for a request that tests inject without one. */
    connection: Connection | undefined;
    /** Until when the request is worth working on: its deadline, or the end of its connection. */
    lifetime: Lifetime;
    /** Frees the memory of its body and of its response; undefined once that was freed. */
    releases: (() => void)[] | undefined;
    /** Bytes of its body that have arrived. */
    bodyBytes: number;
    /** SHA-256 of the body's bytes in base64url; only of requests with an Idempotency-Key. */
    bodyDigest: string | undefined;
    /** The session named in the metadata of a safetensors body. */
    sessionInFile: string | undefined;
  }
}

/** The trace that a request is part of; undefined if there is none. */
export function traceIdOf({ raw }: FastifyRequest): string | undefined {
  return raw.trace?.context.traceId;
}

/** Records the error that a request is answered with; one refused before the first hook has no record. */
export function noteError({ lifetime }: { readonly lifetime?: Lifetime | null }, code: ErrorCode): void {
  if (lifetime) lifetime.record.errorCode = code;
}

/** The part of a request that holds memory. */
interface MemoryHolder {
  body: unknown;
  releases: (() => void)[] | undefined;
}

/**
 * Frees the memory of the request's body and response. A stream calls it before its response has ended, when
 * it has copied what it needs; for all others it is called when the response is closed.
 */
export function releaseBody(request: MemoryHolder): void {
  const { releases = [] } = request;
  request.body = undefined;
  request.releases = undefined;
  for (const release of releases) release();
}

/**
 * Registers `release` to be called when the request's memory is freed: at the latest when the system has
 * accepted all of the response, or the connection is lost. If the memory was freed already, `release` is called
 * at once.
 *
 * @returns whether the memory is still held
 */
export function addRelease(request: MemoryHolder, release: () => void): boolean {
  if (request.releases) request.releases.push(release);
  else release();
  return isBodyHeld(request);
}

/** Whether the memory of the request's body is still its own. */
export function isBodyHeld({ releases }: Pick<MemoryHolder, 'releases'>): boolean {
  return releases !== undefined;
}
