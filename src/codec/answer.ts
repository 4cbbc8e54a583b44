// An answer is some tensors by name; written as JSON or as a safetensors file they are the same.
import type { TensorView } from '../tensor.ts';
import { objectToJson, tensorToJson } from './json-write.ts';
import { writeSafetensors } from './safetensors-write.ts';

type Tensors = Record<string, TensorView | undefined>;

export interface Answer {
  /** What is not a tensor: in JSON as it is, in a file as text in __metadata__ (JSON unless a string). */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly tensors: Tensors;
  /** In JSON an object of its own, in a file tensors named `trace/…`. */
  readonly trace?: Tensors | undefined;
}

export function answerToJson({ fields = {}, tensors, trace }: Answer): string {
  const toJson = (views: Tensors) =>
    Object.fromEntries(
      Object.entries(views).map(([name, view]) => [name, view && tensorToJson(view)]),
    );
  return objectToJson({
    ...toJson(tensors),
    trace: trace && objectToJson(toJson(trace)),
    ...mapValues(fields, (value) => JSON.stringify(value)),
  });
}

export function answerToFile({ fields, tensors, trace = {} }: Answer): Buffer {
  const traces = Object.entries(trace).map(([name, view]) => [`trace/${name}`, view]);
  const metadata = fields && mapValues(fields, textOf);
  return writeSafetensors({ ...tensors, ...Object.fromEntries(traces) }, metadata);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function mapValues(object: Readonly<Record<string, unknown>>, map: (value: unknown) => string) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
