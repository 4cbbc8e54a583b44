// A session in responses: its fields in a body, and its headers.
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { TensorView } from '../../tensor.ts';
import { type Session, etagOf, sizesOf, stateDigest, viewsOf } from '../../sessions/session.ts';
import { statesOf } from '../compute/answer.ts';
import { SESSION_HEADER } from '../session-request.ts';

/** What is hashed in one event-loop iteration, in about 1 ms; the rest of a session takes as long as so many bytes of its states. */
const SLICE_BYTES = 1024 * 1024;
const SESSION_BYTES = 8 * 1024;

/** The `session` of the response to a step or sequence: schema SessionMark. */
export function sessionMark(session: Session) {
  const { id, t, version, expiresAtMs } = session;
  return { id, t, version, digest: stateDigest(session), expires_at: isoTime(expiresAtMs) };
}

/** Everything about a session but its states: schema SessionInfo. */
export function sessionInfo(session: Session) {
  const { id, modelId, N, D, H, t, version, numerics, ttlMs, keep, createdAtMs, expiresAtMs } = session;
  return {
    id,
    model: modelId,
    N,
    D,
    H,
    t,
    version,
    digest: stateDigest(session),
    ...(numerics !== undefined && { numerics }),
    ttl_s: ttlMs / 1_000,
    keep,
    created_at: isoTime(createdAtMs),
    expires_at: isoTime(expiresAtMs),
  };
}

/** The same of many sessions, without holding the event loop: the digest of each state is computed. */
export async function sessionInfos(sessions: readonly Session[]) {
  const infos: ReturnType<typeof sessionInfo>[] = [];
  let bytes = 0;
  for (const session of sessions) {
    bytes += SESSION_BYTES + session.state.byteLength;
    if (bytes > SLICE_BYTES) {
      await nextIteration();
      bytes = 0;
    }
    infos.push(sessionInfo(session));
  }
  return infos;
}

/** The states of a session in the form in which requests have them: schema SessionWithState. */
export function statesOfSession(session: Session) {
  const { N, state } = session;
  const sizes = sizesOf(session);
  const views = viewsOf(N, sizes, state).map(({ h, c }, k) => {
    const view = (data: Float32Array): TensorView => ({ shape: [N, sizes[k]!.H], strides: [sizes[k]!.H, 1], data });
    return { h: view(h), c: c && view(c) };
  });
  return statesOf({ states: views });
}

/** Headers of every response about one session. */
export function sessionHeaders(session: Session): Record<string, string> {
  return { [SESSION_HEADER]: session.id, etag: etagOf(session), 'cache-control': 'no-store' };
}

/** The latest time that was written: sessions that are changed in the same millisecond often have the same. */
let latest = { ms: Number.NaN, text: '' };

function isoTime(ms: number): string {
  if (ms !== latest.ms) latest = { ms, text: new Date(ms).toISOString() };
  return latest.text;
}
