// A JSON body that was read: by the kernel, its tensors moved out, or in the plain way.
import { isUtf8 } from 'node:buffer';
import { parseJson } from '../codec/json/parse.ts';
import { type PlaceholderTensor, bindPlaceholders } from '../codec/json/placeholders.ts';
import type { ByteBlock } from '../wasm/byte-block.ts';
import type { ReadJob, ReadTensor } from '../wasm/read-job.ts';

export interface JsonBody {
  /** What JSON.parse would give, with arrays that stand for tensors (codec/tensor-placeholders.ts). */
  readonly value: unknown;
  /** Gives the tensors' memory back: they cannot be copied afterwards. May be called twice. */
  release(): void;
}

/**
 * All of a text made values: for short ones.
 *
 * @throws malformed_json · duplicate_key
 */
export function plainBody(text: ByteBlock): JsonBody {
  return { value: parseJson(text.view()), release: () => {} };
}

/**
 * Undefined if the kernel has declined the text, or if what it has left is not what a request may be: not
 * JSON, or with a key that appears twice, which is in the text once more than in the value. Then the job is
 * released.
 */
export function bodyOf(job: ReadJob): JsonBody | undefined {
  const skeleton = job.skeleton();
  if (skeleton && isUtf8(skeleton)) {
    const body = new MovedBody(job);
    try {
      body.value = JSON.parse(skeleton.toString());
      const placed = job.tensors().map((tensor) => new HeldTensor(body, job, tensor));
      if (bindPlaceholders(body.value, placed) === job.keys) return body;
    } catch {
      // Not JSON.
    }
  }
  job.release();
  return undefined;
}

/** A body whose tensors are in the memory of the job that has read it. */
class MovedBody implements JsonBody {
  value: unknown;
  isReleased = false;
  readonly #job: ReadJob;

  constructor(job: ReadJob) {
    this.#job = job;
  }

  release(): void {
    if (!this.isReleased) this.#job.release();
    this.isReleased = true;
  }
}

class HeldTensor implements PlaceholderTensor {
  readonly shape: readonly number[];
  readonly #body: MovedBody;
  readonly #job: ReadJob;
  readonly #tensor: ReadTensor;

  constructor(body: MovedBody, job: ReadJob, tensor: ReadTensor) {
    this.shape = tensor.shape;
    this.#body = body;
    this.#job = job;
    this.#tensor = tensor;
  }

  numbers(): Float32Array | undefined {
    return this.#body.isReleased ? undefined : this.#job.numbers(this.#tensor);
  }
}
