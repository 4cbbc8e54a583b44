// Headers of every response. Most tell a browser that this is an API without pages (OWASP REST Security Cheat
// Sheet); /docs has a content policy of its own. Only the gateway knows whether there is TLS, and adds
// Strict-Transport-Security if so.
//
// They are constant: computing them for each request, as @fastify/helmet does, costs a third of a small step
// and most of its garbage.
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { writeTraceparent } from '../trace-context.ts';

export const SECURITY_HEADERS = {
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

/** Of pages. Scripts, styles and calls of this origin only: what a model or a file is called can never become a script. */
export const PAGE_CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join(';');

/** Of a page with styles in it: these, letter by letter, and no others. */
export function contentPolicyOf(page: string): string {
  const [, styles = ''] = /<style>([^]*?)<\/style>/.exec(page) ?? [];
  const digest = createHash('sha256').update(styles).digest('base64');
  return PAGE_CONTENT_POLICY.replace("style-src 'self'", `style-src 'self' 'sha256-${digest}'`);
}

/** Sets the headers of every response: those above, the request's id, and the trace that it is part of. */
export function setSecurityHeaders(request: FastifyRequest, reply: FastifyReply): void {
  void reply.headers(SECURITY_HEADERS).header('x-request-id', request.id);
  const { trace } = request.raw;
  if (trace) void reply.header('traceparent', writeTraceparent(trace.context));
}
