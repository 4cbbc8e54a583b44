// A text on the terminal, written character by character behind a margin, in lines of at most 78 columns. Its own line
// ends become spaces; an empty line ends a paragraph.

const MARGIN = '  ';
/** From this column on the next space ends the line: what follows is not known yet, and few words are longer than 14. */
const SOFT_COLUMNS = 62;
const COLUMNS = 76;

export class TextColumn {
  readonly #write: (text: string) => void;
  #column = 0;
  /** Line ends since the last other character. */
  #newlines = 0;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  append(character: string): void {
    if (character === '\n') {
      // Nothing is above the first paragraph.
      if (this.#column > 0) this.#newlines++;
      return;
    }
    if (this.#newlines > 1) this.#endLine(2);
    else if (this.#newlines === 1) this.#put(' ');
    this.#newlines = 0;
    this.#put(character);
  }

  #put(character: string): void {
    const isSpace = character === ' ';
    if ((isSpace && this.#column >= SOFT_COLUMNS) || this.#column >= COLUMNS) this.#endLine(1);
    if (isSpace && this.#column === 0) return;
    this.#write((this.#column === 0 ? MARGIN : '') + character);
    this.#column++;
  }

  #endLine(lines: number): void {
    this.#write('\n'.repeat(lines));
    this.#column = 0;
  }
}
