// A JSON text whose tensors are not printed yet: pieces of text with a tensor behind each. What prints
// them is engine/json-codec.ts.
import type { TensorView } from '../../tensor.ts';

/** Some text, then a tensor as nested arrays. */
export interface JsonSegment {
  readonly text: string;
  readonly tensor?: TensorView | undefined;
}

export type Tensors = Readonly<Record<string, TensorView | undefined>>;

export class SegmentWriter {
  readonly #pieces: JsonSegment[] = [];
  /** What comes behind the last tensor. */
  #text = '';
  /** Whether the next member is the first of its object. */
  #isFirst = true;

  /** JSON, or what stands around it, as it is. */
  text(text: string): void {
    this.#text += text;
  }

  tensor(tensor: TensorView): void {
    this.#pieces.push({ text: this.#text, tensor });
    this.#text = '';
  }

  open(): void {
    this.#text += '{';
    this.#isFirst = true;
  }

  close(): void {
    this.#text += '}';
    this.#isFirst = false;
  }

  /** The name of the next member. */
  key(name: string): void {
    this.#text += `${this.#isFirst ? '' : ','}${JSON.stringify(name)}:`;
    this.#isFirst = false;
  }

  /** A member for each tensor that is there. */
  tensors(tensors: Tensors): void {
    for (const [name, tensor] of Object.entries(tensors)) {
      if (!tensor) continue;
      this.key(name);
      this.tensor(tensor);
    }
  }

  pieces(): readonly JsonSegment[] {
    return [...this.#pieces, { text: this.#text }];
  }
}
