// The Content-Encoding of request bodies: none, but for routes that say which ones they inflate.
import type { FastifyRequest } from 'fastify';
import { CarryoverError } from '../errors.ts';

/** `deflate` is the zlib format (RFC 9110, section 8.4.1.2). */
export const INFLATED_CODINGS = ['gzip', 'deflate'] as const;

export type InflatedCoding = (typeof INFLATED_CODINGS)[number];

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether bodies may be compressed; the route inflates them (bodies/inflate.ts). */
    inflates?: true;
  }
}

/** Undefined if the body is sent as it is. */
export function codingOf({ headers }: FastifyRequest): string | undefined {
  const coding = headers['content-encoding']?.toLowerCase();
  return coding === 'identity' ? undefined : coding;
}

export function isEncoded(request: FastifyRequest): boolean {
  return codingOf(request) !== undefined;
}

/** @throws unsupported_media_type */
export function expectKnownCoding(request: FastifyRequest): void {
  const coding = codingOf(request);
  if (coding === undefined) return;
  const { inflates = false } = request.routeOptions.config;
  if (inflates && INFLATED_CODINGS.some((known) => known === coding)) return;
  const expected = inflates ? `${INFLATED_CODINGS.join(' or ')}, or an uncompressed body` : 'an uncompressed body';
  throw new CarryoverError('unsupported_media_type', {
    detail: `Expected ${expected}, got Content-Encoding: ${coding.slice(0, 40)}.`,
  });
}
