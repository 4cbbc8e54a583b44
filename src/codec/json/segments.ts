// JSON whose tensors are still to be printed: segments, each some text and then a tensor.
// engine/json-codec.ts prints them.
import type { TensorView } from '../../tensor.ts';

export interface JsonSegment {
  /** JSON, or what stands around it, as it is. */
  readonly text: string;
  /** To be printed after the text, as nested arrays; its elements must be finite. */
  readonly tensor?: TensorView | undefined;
}

/** Tensors in objects and arrays, and other JSON among them. */
export type TensorTree = TensorView | string | number | null | readonly TensorTree[] | Tensors;

/** Tensors by name; those that are undefined are left out. */
export interface Tensors {
  readonly [name: string]: TensorTree | undefined;
}

export function isTensor(tree: TensorTree): tree is TensorView {
  return typeof tree === 'object' && tree !== null && 'strides' in tree;
}

/** Writes objects, member by member. */
export class SegmentWriter {
  readonly #segments: JsonSegment[] = [];
  /** The text after the last tensor. */
  #text = '';
  /** Whether the next member is the first of its object. */
  #isFirst = true;

  /** Writes text as it is: the JSON of a value, or what stands around an object. */
  text(text: string): void {
    this.#text += text;
  }

  /** Writes a tensor as the value of a member. */
  tensor(tensor: TensorView): void {
    this.#segments.push({ text: this.#text, tensor });
    this.#text = '';
  }

  /** Begins an object. */
  open(): void {
    this.#text += '{';
    this.#isFirst = true;
  }

  /** Ends an object. */
  close(): void {
    this.#text += '}';
    this.#isFirst = false;
  }

  /** Writes the name of the next member, whose value must follow. */
  key(name: string): void {
    this.#text += `${this.#isFirst ? '' : ','}${JSON.stringify(name)}:`;
    this.#isFirst = false;
  }

  /** Writes a member for each tensor that is not undefined. */
  tensors(tensors: Tensors): void {
    for (const name of Object.keys(tensors)) {
      const tree = tensors[name];
      if (tree === undefined) continue;
      this.key(name);
      this.#tree(tree);
    }
  }

  #tree(tree: TensorTree): void {
    if (typeof tree !== 'object' || tree === null) return this.text(JSON.stringify(tree));
    if (isTensor(tree)) return this.tensor(tree);
    if (isArray(tree)) {
      this.text('[');
      for (const [k, item] of tree.entries()) {
        if (k > 0) this.text(',');
        this.#tree(item);
      }
      return this.text(']');
    }
    this.open();
    this.tensors(tree);
    this.close();
  }

  /** All that was written; nothing may be written afterwards. */
  segments(): readonly JsonSegment[] {
    this.#segments.push({ text: this.#text });
    this.#text = '';
    return this.#segments;
  }
}

/** Array.isArray() does not narrow readonly arrays. */
export function isArray(tree: readonly TensorTree[] | Tensors): tree is readonly TensorTree[] {
  return Array.isArray(tree);
}
