// What a call on a session says in its headers, and what the answers about a session have in theirs.
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../../error-kinds.ts';
import { invalidRequest } from '../../errors.ts';
import type { Call } from '../../sessions/call.ts';
import type { IdempotencyKey } from '../../sessions/kept-answer.ts';
import { type Session, etagOf, stateDigest } from '../../sessions/session.ts';
import { CHANGE_HEADERS, SESSION_HEADER } from '../session-request.ts';
import { readIfMatch } from './if-match.ts';

/** What a call that changes a session can be answered besides what it computes. */
export const SESSION_ERRORS = [
  'session_not_found',
  'idempotency_key_in_use',
  'session_gone',
  'step_conflict',
  'idempotency_key_reused',
  'answer_not_kept',
  'session_corrupt',
  'session_busy',
  'store_unavailable',
  'store_full',
] as const satisfies readonly ErrorCode[];

/** @throws invalid_request */
export function callOf(request: FastifyRequest): Call {
  return {
    ifMatch: readIfMatch(request.headers['if-match'], 'If-Match', ''),
    key: idempotencyKeyOf(request),
    lifetime: request.lifetime,
  };
}

/** @throws invalid_request if a call without a session says what only one with a session can mean */
export function expectNoPromises({ headers }: FastifyRequest): void {
  const name = CHANGE_HEADERS.find((promise) => headers[promise] !== undefined);
  if (name === undefined) return;
  throw invalidRequest(
    `The header ${name} has no meaning without a session: nothing is changed, and the same call has ` +
      'the same answer whenever it is repeated. Leave it out, or name the session.',
    '',
    'no',
  );
}

/**
 * The session that a computation is about, if any.
 *
 * @throws invalid_request if body and header name different ones
 */
export function sessionIdOf(request: FastifyRequest, named: string | undefined): string | undefined {
  const header = headerOf(request, SESSION_HEADER);
  if (named === undefined || header === undefined || named === header) return named ?? header;
  throw invalidRequest(
    `The body names session ${JSON.stringify(named.slice(0, 64))}, the header ${SESSION_HEADER} ` +
      `${JSON.stringify(header.slice(0, 64))}; expected one of them, or the same in both.`,
    '/session',
  );
}

/** What an answer says of the session it is about. */
export function markOf(session: Session) {
  const { id, t, version, expiresAtMs } = session;
  return { id, t, version, digest: stateDigest(session), expires_at: timeOf(expiresAtMs) };
}

/** All that is told of a session but its state. */
export function infoOf(session: Session) {
  const { id, modelId, N, D, H, t, version, ttlMs, keep, createdAtMs, expiresAtMs } = session;
  return {
    id,
    model: modelId,
    N,
    D,
    H,
    t,
    version,
    digest: stateDigest(session),
    ttl_s: ttlMs / 1_000,
    keep,
    created_at: timeOf(createdAtMs),
    expires_at: timeOf(expiresAtMs),
  };
}

/** Of every answer about one session. */
export function sessionHeaders(session: Session): Record<string, string> {
  return { [SESSION_HEADER]: session.id, etag: etagOf(session), 'cache-control': 'no-store' };
}

/** Says that the answer is that of an earlier attempt. */
export function markReplayed(reply: FastifyReply, replayed: boolean): void {
  if (replayed) void reply.header('idempotency-replayed', 'true');
}

/** The Idempotency-Key, with a digest of what it was sent with. @throws invalid_request */
export function idempotencyKeyOf(request: FastifyRequest): IdempotencyKey | undefined {
  const header = headerOf(request, 'idempotency-key');
  if (header === undefined) return undefined;
  const { method, url, bodyDigest = '' } = request;
  return {
    key: keyText(header, 'Idempotency-Key', ''),
    digest: sha256(`${method} ${url} ${bodyDigest}`),
  };
}

/**
 * `key` or, as a structured field, `"key"`: 1 … 255 visible characters.
 *
 * @param name and pointer: where it stood, for the error
 */
export function keyText(text: string, name: string, pointer: string): string {
  const [, quoted, bare] = /^(?:"([ !#-[\]-~]{1,255})"|([!#-~]{1,255}))$/.exec(text) ?? [];
  const key = quoted ?? bare;
  if (key !== undefined) return key;
  // Nothing can have been applied under what is not a key.
  throw invalidRequest(
    `Expected ${name} to be 1 … 255 visible ASCII characters, bare or in quotation marks, got ` +
      `${JSON.stringify(text.slice(0, 40))} (${text.length} characters).`,
    pointer,
    'no',
  );
}

/** So much is hashed at once, in a millisecond; then others have their turn. */
export const HASHED_BYTES_MAX = 1024 * 1024;

/** In base64url. */
export async function sha256InTurns(data: Buffer): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < data.length; at += HASHED_BYTES_MAX) {
    if (at > 0) await nextTurn();
    hash.update(data.subarray(at, at + HASHED_BYTES_MAX));
  }
  return hash.digest('base64url');
}

/** In base64url. */
export function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('base64url');
}

function headerOf({ headers }: FastifyRequest, name: string): string | undefined {
  const header = headers[name];
  return Array.isArray(header) ? header.join(', ') : header;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
