// The refusal that every store has: of a session, or of a name, whose model is not there (any more).
import { CarryoverError } from '../errors.ts';

export function modelNotFound(id: string): CarryoverError {
  return new CarryoverError('model_not_found', {
    detail: `The store has no model ${id}; register it with POST /v1/models.`,
  });
}
