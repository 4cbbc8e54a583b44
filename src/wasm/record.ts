// Records in linear memory by the names of their fields: every field is one u32 at a fixed offset, and
// kernels/layout.ts has the offsets. A record class is made once from a table of names and offsets:
//
//   const PairRecord = recordClass({ source: PAIR_SOURCE, target: PAIR_TARGET });
//   const pair = new PairRecord(memory, ptr);
//   pair.source = xPtr;
import type { LinearMemory } from './memory.ts';

/** Offsets of the fields in bytes, each a multiple of 4. */
type Offsets = Readonly<Record<string, number>>;

/** One property per field: reading it loads the word, assigning to it stores the word. */
type Fields<Names extends string> = { -readonly [Name in Names]: number };

class RecordCursor {
  /** Valid until the next allocate(); see LinearMemory.words. */
  readonly words: Uint32Array;
  /** Index in `words` of the record's first word. */
  word: number;

  constructor({ words }: Pick<LinearMemory, 'words'>, ptr: number) {
    this.words = words;
    this.word = ptr >>> 2;
  }

  /** Makes the fields those of the record at `ptr`. */
  moveTo(ptr: number): void {
    this.word = ptr >>> 2;
  }
}

export type RecordClass<Names extends string> = new (
  memory: Pick<LinearMemory, 'words'>,
  ptr: number,
) => RecordCursor & Fields<Names>;

/**
 * A class whose instances read and write the fields of the record at a byte address. An instance is to be used
 * before the next allocate(), which may replace the view of the memory.
 */
export function recordClass<const Table extends Offsets>(offsets: Table): RecordClass<keyof Table & string> {
  class Cursor extends RecordCursor {}
  for (const [name, offset] of Object.entries(offsets)) {
    const index = offset >>> 2;
    Object.defineProperty(Cursor.prototype, name, {
      get(this: RecordCursor): number {
        return this.words[this.word + index]!;
      },
      set(this: RecordCursor, value: number) {
        this.words[this.word + index] = value;
      },
    });
  }
  return Cursor as unknown as RecordClass<keyof Table & string>;
}
