// The errors of a Keras file: what is wrong, or which layer is not computed.
import { quote } from '../../../codec/safetensors/quote.ts';
import { CarryoverError } from '../../../errors.ts';

/** The file is not what Keras writes. */
export function malformed(what: string): CarryoverError {
  return new CarryoverError('malformed_model_file', { detail: `The Keras file ${what}.` });
}

/** The file is whole, but has something that is not read. */
export function notRead(what: string): CarryoverError {
  return new CarryoverError('model_file_unsupported', { detail: `The Keras file ${what}.` });
}

interface NamedLayer {
  readonly name: string;
  readonly className: string;
}

/** @param what it has that is not computed, and what is expected in its place */
export function layerNotRead(layer: NamedLayer, what: string): CarryoverError {
  return new CarryoverError('model_file_unsupported', { detail: `${titleOf(layer)} ${what}.` });
}

/** `Layer "lstm_1" (LSTM)`, as at the beginning of a sentence. */
export function titleOf({ name, className }: NamedLayer): string {
  return `Layer ${quote(name)} (${className.length > 40 ? `${className.slice(0, 40)}…` : className})`;
}
