// The errors of an HDF5 file: what is wrong, or what it has that is not read.
import { CarryoverError } from '../../errors.ts';
import { discardLibrary } from './library.ts';

/** The file breaks the format. */
export function malformed(what: string, cause?: unknown): CarryoverError {
  return new CarryoverError('malformed_model_file', { detail: `The HDF5 file ${what}.`, cause });
}

/** The file is whole, but has something that is not read. */
export function notRead(what: string): CarryoverError {
  return new CarryoverError('model_file_unsupported', { detail: `The HDF5 file ${what}.` });
}

/**
 * Calls the library.
 *
 * @param what the file does if that fails
 * @throws malformed_model_file
 */
export function attempt<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (cause instanceof CarryoverError) throw cause;
    // Its own errors are plain; any other is a trap, e.g. of an access beyond its memory, after which it is not what it was.
    if (!(cause instanceof Error) || cause.constructor !== Error) discardLibrary();
    throw malformed(what, cause);
  }
}
