// What the main thread and an import thread send each other: a file, and its layers in float32 or an error.
import type { ErrorCode } from '../../error-kinds.ts';
import { CarryoverError, type ErrorPlace } from '../../errors.ts';
import { type LayerSource, mapTensors } from '../../layers.ts';
import type { TensorSource } from '../../tensor.ts';
import type { Import } from '../import/checkpoint.ts';

/** The formats that are read on an import thread. */
export type ThreadFormat = 'onnx' | 'keras';

export interface ImportRequest {
  readonly format: ThreadFormat;
  /** Shared with the main thread if they are in linear memory, else a copy. */
  readonly bytes: Uint8Array;
}

/** A tensor in our layout, row-major. */
export interface CopiedTensor {
  readonly name: string;
  readonly axes: string;
  readonly shape: readonly number[];
  readonly numbers: Float32Array<ArrayBuffer>;
}

interface ImportedLayers extends Omit<Import, 'layers'> {
  readonly layers: readonly LayerSource<CopiedTensor>[];
}

interface ImportFailure {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors: readonly ErrorPlace[];
}

export type ImportReply = { readonly imported: ImportedLayers } | { readonly failure: ImportFailure };

/** Most numbers in the tensors of a file, 256 MiB of them: a limit of memory, beyond what models may have. */
const NUMBERS_MAX = 2 ** 26;

/**
 * Copies all tensors.
 *
 * @returns the reply, and the buffers of the copies, to be transferred
 * @throws out_of_range · limit_exceeded
 */
export function replyWith({ layers, ...rest }: Import): { reply: ImportReply; buffers: ArrayBuffer[] } {
  const buffers: ArrayBuffer[] = [];
  let numbersLeft = NUMBERS_MAX;
  const copyOf = (source: TensorSource): CopiedTensor => {
    const { name, axes, shape } = source;
    const count = shape.reduce((product, size) => product * size, 1);
    numbersLeft -= count;
    if (numbersLeft < 0) throw tooManyNumbers();
    const numbers = new Float32Array(count);
    source.copyTo(numbers);
    buffers.push(numbers.buffer);
    return { name, axes, shape, numbers };
  };
  const copied = layers.map((layer) => mapTensors(layer, copyOf));
  return { reply: { imported: { layers: copied, ...rest } }, buffers };
}

function tooManyNumbers(): CarryoverError {
  const detail = `The tensors of the file have more than ${NUMBERS_MAX} numbers; expected a smaller model.`;
  return new CarryoverError('limit_exceeded', { detail });
}

/** @throws what is no error of the file, and so a fault of the server */
export function replyWithError(error: unknown): ImportReply {
  if (!(error instanceof CarryoverError)) throw error;
  const { code, message, errors } = error;
  return { failure: { code, detail: message, errors } };
}

/** @throws CarryoverError as the import thread did */
export function importIn(reply: ImportReply): Import {
  if ('failure' in reply) {
    const { code, detail, errors } = reply.failure;
    throw new CarryoverError(code, { detail, errors });
  }
  const { layers, ...rest } = reply.imported;
  return { ...rest, layers: layers.map((layer) => mapTensors(layer, sourceOf)) };
}

function sourceOf({ name, axes, shape, numbers }: CopiedTensor): TensorSource {
  return { name, axes, shape, inPlace: () => numbers, copyTo: (target) => target.set(numbers) };
}
