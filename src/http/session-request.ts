// What shows, before a route has read it, that a request is a call on a session: its address, its headers,
// the session it names.
import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';

/** Names the session of a step or sequence; the body may name it instead. */
export const SESSION_HEADER = 'x-session-id';

/** Headers that only a call that changes a session accepts; the schema of a route says whether it does. */
export const CHANGE_HEADERS = ['if-match', 'idempotency-key'] as const;

/**
 * Conditions that no call knows which changes something (RFC 9110, 13.1). They are refused there: whoever sends one expects
 * that nothing is done if it is false. Browsers and caches send them with GET.
 */
export const OTHER_CONDITIONS = ['if-none-match', 'if-unmodified-since', 'if-modified-since', 'if-range'] as const;

/** Addresses whose body may name a session. */
const COMPUTE_ADDRESS = /^\/v1\/(step|sequence)\b/;

export function hasIdempotencyKey({ headers }: FastifyRequest): boolean {
  return headers['idempotency-key'] !== undefined;
}

/** Whether it is a batch: its items, which may not have been read, may have keys. */
export function isBatch({ url }: FastifyRequest): boolean {
  return /^\/v1\/batch\b/.test(url);
}

/** Whether it is a call on a session: then an error says whether the session was changed (`applied`). */
export function isSessionCall(request: FastifyRequest): boolean {
  const { url, headers, body, sessionInFile } = request;
  const named = sessionInFile ?? (body as { session?: unknown } | null | undefined)?.session;
  if (url.startsWith('/v1/sessions') || isBatch(request) || named !== undefined) return true;
  if (headers[SESSION_HEADER] !== undefined) return true;
  // The body, which may name a session, was not read.
  return COMPUTE_ADDRESS.test(url) && (hasIdempotencyKey(request) || headers['if-match'] !== undefined);
}

export interface BodyDigest {
  update(chunk: Buffer): void;
  /** Sets `request.bodyDigest`; to be called after the last chunk. */
  finish(): void;
}

/**
 * The SHA-256 of a body, computed while it arrives: a repeated call is recognised by it. Undefined for a
 * request without an Idempotency-Key.
 */
export function digestBody(request: FastifyRequest): BodyDigest | undefined {
  if (!hasIdempotencyKey(request)) return undefined;
  const hash = createHash('sha256');
  return {
    update: (chunk) => void hash.update(chunk),
    finish: () => {
      request.bodyDigest = hash.digest('base64url');
    },
  };
}
