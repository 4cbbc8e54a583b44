// Reads packed traces.
import type { TraceContext } from '../../trace-context.ts';
import { NO_NUMBER, NO_TEXT, type PackedTraces } from '../packed-traces.ts';

/** Takes what a TraceBatch has been given, in the same order. */
export class TraceReader {
  readonly #packed: PackedTraces;
  #numberAt = 0;
  #textAt = 0;

  constructor(packed: PackedTraces) {
    this.#packed = packed;
  }

  get isAtEnd(): boolean {
    return this.#numberAt === this.#packed.numbers.length;
  }

  number(): number {
    return this.#packed.numbers[this.#numberAt++]!;
  }

  optionalNumber(): number | undefined {
    const value = this.number();
    return value === NO_NUMBER ? undefined : value;
  }

  /** In ms since 1970. */
  optionalTime(): number | undefined {
    const value = this.optionalNumber();
    return value === undefined ? undefined : value + this.#packed.epochOffsetMs;
  }

  time(): number {
    return this.number() + this.#packed.epochOffsetMs;
  }

  text(): string {
    return this.#packed.texts[this.#textAt++]!;
  }

  optionalText(): string | undefined {
    const value = this.text();
    return value === NO_TEXT ? undefined : value;
  }

  context(): TraceContext {
    const traceId = this.text();
    return { traceId, spanId: this.text(), flags: this.number() };
  }
}
