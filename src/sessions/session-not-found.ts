import { CarryoverError } from '../errors.ts';

/** The same for an id that was never issued and for the session of another tenant. */
export function sessionNotFound(id: string): CarryoverError {
  const shown = JSON.stringify(id.slice(0, 40));
  return new CarryoverError('session_not_found', {
    detail: `There is no session ${shown}; ids are issued by POST /v1/sessions.`,
  });
}
