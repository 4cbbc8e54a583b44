// Where in a JSON text a reader is: the containers that are open, and the element or member of each.
import { escapePointer } from '../../errors.ts';

/** A pointer deeper than this is cut in its middle. */
const POINTER_STEPS_MAX = 16;
/** JsonCodec of others, quoted in errors. */
const QUOTED_CHARACTERS_MAX = 40;

export interface Container {
  isArray: boolean;
  /** Values begun so far. */
  count: number;
  /** Of an object: the key of the member being read, and those before it. */
  key: string | undefined;
  keys: Set<string> | undefined;
}

export class JsonPath {
  /** Those beyond #depth have been closed, and are used again: a text may have millions of rows. */
  readonly #containers: Container[] = [];
  #depth = 0;

  get depth(): number {
    return this.#depth;
  }

  /** To be asked for only while one is open. */
  get innermost(): Container {
    return this.#containers[this.#depth - 1]!;
  }

  /** Of the member being read, if the innermost container is an object. */
  get key(): string | undefined {
    return this.#containers[this.#depth - 1]?.key;
  }

  open(isArray: boolean): void {
    const container = (this.#containers[this.#depth++] ??= {
      isArray,
      count: 0,
      key: undefined,
      keys: undefined,
    });
    container.isArray = isArray;
    container.count = 0;
    container.key = undefined;
    container.keys = undefined;
  }

  close(): void {
    this.innermost.keys = undefined;
    this.#depth--;
  }

  /** JSON pointer of the innermost value that is being read: `/x/3/7`. */
  pointer(): string {
    const steps = this.#containers
      .slice(0, this.#depth)
      .filter(({ isArray, key }) => isArray || key !== undefined)
      .map(({ isArray, count, key }) =>
        isArray ? String(Math.max(0, count - 1)) : cutText(escapePointer(key!)),
      );
    const half = POINTER_STEPS_MAX / 2;
    if (steps.length > POINTER_STEPS_MAX) steps.splice(half, steps.length - POINTER_STEPS_MAX, '…');
    return steps.map((step) => `/${step}`).join('');
  }
}

/** Not longer than a word. */
export function cutText(text: string): string {
  return text.length > QUOTED_CHARACTERS_MAX ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text;
}
