// The position of a reader within the values of a JSON document: the arrays and objects that are open, and the
// element or member that is being read in each.
import { escapePointer } from '../../errors.ts';

/** A longer pointer is shortened in its middle. */
const POINTER_STEPS_MAX = 16;
/** Of a key or a value of the client, quoted in an error. */
const QUOTED_CHARACTERS_MAX = 40;

/** An array or an object. */
export interface Container {
  isArray: boolean;
  /** How many values have begun. */
  count: number;
  /** Of an object, the key of the member that is being read. */
  key: string | undefined;
  /** Of an object, all keys so far. */
  keys: Set<string> | undefined;
}

export class JsonPath {
  /** Those from #depth on are closed, and kept to be used again: a document may have millions of rows. */
  readonly #containers: Container[] = [];
  #depth = 0;

  /** How many containers are open. */
  get depth(): number {
    return this.#depth;
  }

  /** Only valid while a container is open. */
  get innermost(): Container {
    return this.#containers[this.#depth - 1]!;
  }

  /** The key of the member that is being read, if the innermost container is an object. */
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

  /** The JSON pointer (RFC 6901) of the innermost value that is being read, e.g. `/x/3/7`. */
  pointer(): string {
    const steps = this.#containers
      .slice(0, this.#depth)
      .filter(({ isArray, key }) => isArray || key !== undefined)
      .map(({ isArray, count, key }) =>
        isArray ? String(Math.max(0, count - 1)) : shorten(escapePointer(key!)),
      );
    const half = POINTER_STEPS_MAX / 2;
    if (steps.length > POINTER_STEPS_MAX) steps.splice(half, steps.length - POINTER_STEPS_MAX, '…');
    return steps.map((step) => `/${step}`).join('');
  }
}

/** At most QUOTED_CHARACTERS_MAX characters of a text, and an ellipsis if there are more. */
export function shorten(text: string): string {
  return text.length > QUOTED_CHARACTERS_MAX ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text;
}
