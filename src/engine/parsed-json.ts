// A parsed body, and the two ways in which one is made: of the whole document by JSON.parse, or of what the
// reading kernel has left of it.
import { isUtf8 } from 'node:buffer';
import { type Reviver, parseJson } from '../codec/json/parse.ts';
import { bindPlaceholders } from '../codec/json/placeholders.ts';
import type { ByteBlock } from '../wasm/byte-block.ts';
import type { ReadJob } from '../wasm/read-job.ts';

export type { Reviver };

export class ParsedJson implements Disposable {
  /** As from JSON.parse, with a TensorPlaceholder for each tensor that is in linear memory. */
  readonly value: unknown;
  readonly #job: ReadJob | undefined;

  /** @param job holds the tensors, and is owned by this object */
  constructor(value: unknown, job?: ReadJob) {
    this.value = value;
    this.#job = job;
  }

  /** Frees the tensors, which cannot be copied afterwards. May be called twice. */
  release(): void {
    this.#job?.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Makes values of a whole document, its tensors being nested arrays of numbers.
 *
 * @throws malformed_json · duplicate_key
 */
export function parseWhole(document: ByteBlock, reviver?: Reviver): ParsedJson {
  return new ParsedJson(parseJson(document.view(), reviver));
}

/**
 * Parses what the kernel has left of a document. Undefined, and the job is released, if the kernel has declined
 * the document, if it is not JSON, or if a key appears twice in an object: then the document has more keys than
 * the objects made of it.
 */
export function parseSkeleton(job: ReadJob, reviver?: Reviver): ParsedJson | undefined {
  const skeleton = job.skeleton();
  if (skeleton && isUtf8(skeleton)) {
    try {
      const value: unknown = JSON.parse(skeleton.toString(), reviver);
      if (bindPlaceholders(value, job.tensors()) === job.keys) return new ParsedJson(value, job);
    } catch {
      // It is not JSON.
    }
  }
  job.release();
  return undefined;
}
