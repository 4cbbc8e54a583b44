// A registration writes to the store several times. Another tenant, the only one that had the model, may release it in between.
import { CarryoverError } from '../errors.ts';

const ATTEMPTS_MAX = 5;

/** Repeats calls to the store for a model that was removed between them. */
export async function retryIfRemoved(run: () => Promise<void>): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await run();
    } catch (error) {
      const isRemoved = error instanceof CarryoverError && error.code === 'model_not_found';
      if (!isRemoved || attempts === ATTEMPTS_MAX) throw error;
    }
  }
}
