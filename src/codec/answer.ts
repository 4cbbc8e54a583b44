// An answer is some tensors by name; written as JSON or as a safetensors file they are the same.
import type { TensorView } from '../tensor.ts';
import { writeSafetensors } from './safetensors-write.ts';

type Tensors = Record<string, TensorView | undefined>;

/** A part of a JSON text: some text, then a tensor as nested arrays. */
export interface Piece {
  readonly text: string;
  readonly tensor?: TensorView | undefined;
}

export interface Answer {
  /** What is not a tensor: in JSON as it is, in a file as text in __metadata__ (JSON unless a string). */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly tensors: Tensors;
  /** In JSON an object of its own, in a file tensors named `trace/…`. */
  readonly trace?: Tensors | undefined;
}

/** The answer as JSON, cut where its tensors begin and end: engine/texts.ts prints them. */
export function piecesOf({ fields = {}, tensors, trace }: Answer): readonly Piece[] {
  const writer = new PieceWriter();
  writer.open();
  writer.tensors(tensors);
  if (trace) {
    writer.key('trace');
    writer.open();
    writer.tensors(trace);
    writer.close();
  }
  for (const [name, value] of Object.entries(fields)) {
    writer.key(name);
    writer.json(JSON.stringify(value));
  }
  writer.close();
  return writer.pieces();
}

class PieceWriter {
  readonly #pieces: Piece[] = [];
  /** What comes behind the last tensor. */
  #text = '';
  #isFirst = true;

  open(): void {
    this.#text += '{';
    this.#isFirst = true;
  }

  close(): void {
    this.#text += '}';
    this.#isFirst = false;
  }

  key(name: string): void {
    this.#text += `${this.#isFirst ? '' : ','}${JSON.stringify(name)}:`;
    this.#isFirst = false;
  }

  json(text: string): void {
    this.#text += text;
  }

  tensors(tensors: Tensors): void {
    for (const [name, tensor] of Object.entries(tensors)) {
      if (!tensor) continue;
      this.key(name);
      this.#pieces.push({ text: this.#text, tensor });
      this.#text = '';
    }
  }

  pieces(): readonly Piece[] {
    return [...this.#pieces, { text: this.#text }];
  }
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
