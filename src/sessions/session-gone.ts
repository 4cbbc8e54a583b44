import { CarryoverError } from '../errors.ts';
import type { Tombstone } from './session.ts';

/** session_gone (410), with what the tombstone says about the end of the session. */
export function sessionGone({ id, reason, atMs, t }: Tombstone): CarryoverError {
  const at = new Date(atMs).toISOString();
  const what = reason === 'deleted' ? 'was deleted' : 'expired';
  return new CarryoverError('session_gone', {
    detail: `Session ${id} ${what} at ${at}${t === undefined ? '' : `, after ${t} steps`}.`,
    members: { reason, at, t },
  });
}
