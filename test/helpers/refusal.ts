// What is refused: the error with which, for tests that look at it.
import { CarryoverError } from '../../src/errors.ts';

/** The error that `run` throws, or rejects with. @throws any other error, and one if it is not refused */
export async function refusalOf(run: () => unknown): Promise<CarryoverError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof CarryoverError) return error;
    throw error;
  }
  throw new Error('It was not refused.');
}
