// The errors of an ONNX file: what is wrong, or what it has that is not read.
import { CarryoverError } from '../../errors.ts';

/** The file breaks the format. */
export function malformed(what: string, cause?: unknown): CarryoverError {
  return new CarryoverError('malformed_model_file', { detail: `The ONNX file ${what}.`, cause });
}

/** The file is whole, but has something that is not read. @param advice sentences: what was expected, what to do */
export function notRead(what: string, advice: string): CarryoverError {
  return new CarryoverError('model_file_unsupported', { detail: `The ONNX file ${what}. ${advice}` });
}
