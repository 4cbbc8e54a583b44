// The precondition of a call: its If-Match header against the ETag of the session.
import { CarryoverError } from '../errors.ts';
import type { Call } from './call.ts';
import { type Session, etagOf } from './session.ts';

/** Whether the call has no If-Match, or one that names the present state. */
export function meetsIfMatch(session: Session, { ifMatch }: Call): boolean {
  return ifMatch === undefined || ifMatch === '*' || ifMatch.includes(etagOf(session));
}

/** @throws step_conflict (412) if the call has an If-Match that does not name the present state */
export function expectIfMatch(session: Session, call: Call): void {
  if (meetsIfMatch(session, call)) return;
  const ifMatch = call.ifMatch as readonly string[];
  const { id, t, version } = session;
  const sent = ifMatch.join(', ').slice(0, 200);
  const hasWeak = ifMatch.some((tag) => tag.startsWith('W/'));
  throw new CarryoverError('step_conflict', {
    detail:
      `Session ${id} is at ${etagOf(session)} (t = ${t}), and If-Match says ${sent}.` +
      (hasWeak ? WEAK_TAG_ADVICE : ''),
    members: { t, version },
  });
}

const WEAK_TAG_ADVICE =
  ' A weak tag, W/"…", never matches (RFC 9110). This server gives strong ones: a gateway that compresses ' +
  'answers makes them weak. Switch that off for this address (nginx: `gzip off`; the server compresses ' +
  'by itself), or send `Accept-Encoding: identity`.';
