// Linear memory whose blocks lie between guards: bytes that must not be written, and that a reader beyond the
// block would take for JSON. Freeing a block checks its guards.
import { LinearMemory } from '../../src/wasm/memory.ts';

const GUARD_BYTES = 64;
const POISONS = ['1', '[', '"', ',', '9', ']', ' ', '\\'].map((character) => character.charCodeAt(0));

export class GuardedMemory extends LinearMemory {
  readonly #sizes = new Map<number, { bytes: number; poison: number }>();
  #blocks = 0;

  override allocate(bytes: number): number {
    const ptr = super.allocate(bytes + 2 * GUARD_BYTES) + GUARD_BYTES;
    const poison = POISONS[this.#blocks++ % POISONS.length]!;
    this.#sizes.set(ptr, { bytes, poison });
    for (const guard of this.#guards(ptr, bytes)) guard.fill(poison);
    // The initial content of a block must not matter either.
    this.u8(ptr, bytes).fill(poison);
    return ptr;
  }

  override free(ptr: number): void {
    const { bytes, poison } = this.#sizes.get(ptr)!;
    this.#sizes.delete(ptr);
    const intact = this.#guards(ptr, bytes).every((guard) => guard.every((byte) => byte === poison));
    if (!intact) throw new Error(`Something was written outside of a block of ${bytes} bytes.`);
    super.free(ptr - GUARD_BYTES);
  }

  #guards(ptr: number, bytes: number): Uint8Array[] {
    return [this.u8(ptr - GUARD_BYTES, GUARD_BYTES), this.u8(ptr + bytes, GUARD_BYTES)];
  }
}
