// The two calls of the service that the demo uses, for one sequence (N = 1).
import { objectToJson, tensorToJson } from '../../src/codec/json/print.ts';
import type { Weights } from '../../src/tensor.ts';

/** An error whose message is printed without a stack. */
export class DemoError extends Error {}

export class Client {
  readonly #url: URL;
  readonly #weights: Weights;
  /** Every request has it. */
  readonly #weightsJson: string;

  constructor(url: string, weights: Weights) {
    this.#url = new URL(url);
    this.#weights = weights;
    const { D, H, W_x, W_h, b } = weights;
    this.#weightsJson = objectToJson({
      W_x: toJson([D, H], W_x),
      W_h: toJson([H, H], W_h),
      b: toJson([H], b),
    });
  }

  /** @throws DemoError if there is no service at the address */
  async expectService(): Promise<void> {
    const answer = await fetch(new URL('/health/live', this.#url)).catch(() => undefined);
    if (answer?.ok) return;
    throw new DemoError(
      `No service answers at ${this.#url.origin}. Start it in another terminal: npm start`,
    );
  }

  /** One step: x (D) and h (H) in, the next h (H) out. */
  async step(x: Float32Array, h: Float32Array): Promise<Float32Array> {
    const { D, H } = this.#weights;
    const body = { weights: this.#weightsJson, x: toJson([1, D], x), h: toJson([1, H], h) };
    const answer = await this.#post<{ h: [number[]] }>('/v1/step', body);
    return Float32Array.from(answer.h[0]);
  }

  /** Steps x (T, D) from the state h (H): all states hs (T, H), the last of which is the next h. */
  async sequence(
    x: Float32Array,
    h: Float32Array,
  ): Promise<{ readonly hs: Float32Array; readonly h: Float32Array }> {
    const { D, H } = this.#weights;
    const answer = await this.#post<{ hs: [number[]][]; h: [number[]] }>('/v1/sequence', {
      weights: this.#weightsJson,
      x: toJson([x.length / D, 1, D], x),
      h: toJson([1, H], h),
    });
    return { hs: Float32Array.from(answer.hs.flat(2)), h: Float32Array.from(answer.h[0]) };
  }

  async #post<Answer>(path: string, body: Record<string, string>): Promise<Answer> {
    const answer = await fetch(new URL(path, this.#url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: objectToJson(body),
    }).catch((cause: unknown) => {
      throw new DemoError(`POST ${path} got no answer from ${this.#url.origin}.`, { cause });
    });
    if (!answer.ok) {
      throw new DemoError(`POST ${path} was answered ${answer.status}: ${await answer.text()}`);
    }
    return (await answer.json()) as Answer;
  }
}

/** Printed by the service's own writer, so that every float32 keeps its bits, and zero its sign. */
function toJson(shape: readonly number[], data: Float32Array): string {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  return tensorToJson({ shape, strides, data });
}
