// An answer is some tensors by name; written as JSON or as a safetensors file they are the same.
import type { TensorView } from '../tensor.ts';
import { objectToJson, tensorToJson } from './json-write.ts';
import { writeSafetensors } from './safetensors-write.ts';

type Tensors = Record<string, TensorView | undefined>;

export interface Answer {
  readonly tensors: Tensors;
  /** In JSON an object of its own, in a file tensors named `trace/…`. */
  readonly trace?: Tensors | undefined;
}

export function answerToJson({ tensors, trace }: Answer): string {
  const toJson = (views: Tensors) =>
    Object.fromEntries(
      Object.entries(views).map(([name, view]) => [name, view && tensorToJson(view)]),
    );
  return objectToJson({ ...toJson(tensors), trace: trace && objectToJson(toJson(trace)) });
}

export function answerToFile({ tensors, trace = {} }: Answer): Buffer {
  const traces = Object.entries(trace).map(([name, view]) => [`trace/${name}`, view]);
  return writeSafetensors({ ...tensors, ...Object.fromEntries(traces) });
}
