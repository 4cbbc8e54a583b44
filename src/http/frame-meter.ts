// Reads the headers of WebSocket frames as their bytes arrive (RFC 6455, section 5.2), so that a
// message is counted when it is announced and not when all of it is in memory:
//
//   | FIN 1 | RSV 3 | opcode 4 | MASK 1 | length 7 | length 16 or 64, if length 7 is 126 or 127 | … |

/** A frame with data; of a message in several frames only the last is final. */
export interface FrameHeader {
  readonly bytes: number;
  readonly isFinal: boolean;
}

/** Opcodes from here on are control frames: close, ping, pong. */
const CONTROL = 8;
const MASK_KEY_BYTES = 4;
const HEADER_BYTES_MAX = 10;

export class FrameMeter {
  readonly #header = Buffer.alloc(HEADER_BYTES_MAX);
  #headerBytes = 0;
  /** What is still to come of the frame whose header was read. */
  #restBytes = 0;

  /** Takes the next bytes; `found` gets each header of a frame with data, in their order. */
  read(chunk: Uint8Array, found: (header: FrameHeader) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#restBytes > 0) {
        const skipped = Math.min(this.#restBytes, chunk.length - at);
        this.#restBytes -= skipped;
        at += skipped;
        continue;
      }
      this.#header[this.#headerBytes++] = chunk[at++]!;
      if (this.#headerBytes >= 2 && this.#headerBytes === headerBytesOf(this.#header)) {
        this.#announce(found);
      }
    }
  }

  #announce(found: (header: FrameHeader) => void): void {
    const header = this.#header;
    const bytes = payloadBytesOf(header);
    const isMasked = (header[1]! & 0x80) !== 0;
    this.#headerBytes = 0;
    this.#restBytes = bytes + (isMasked ? MASK_KEY_BYTES : 0);
    const isData = (header[0]! & 0x0f) < CONTROL;
    if (isData) found({ bytes, isFinal: (header[0]! & 0x80) !== 0 });
  }
}

/** Without the mask's key. */
function headerBytesOf(header: Buffer): number {
  const length = header[1]! & 0x7f;
  return length === 127 ? 10 : length === 126 ? 4 : 2;
}

function payloadBytesOf(header: Buffer): number {
  const length = header[1]! & 0x7f;
  if (length === 127) return Number(header.readBigUInt64BE(2));
  return length === 126 ? header.readUInt16BE(2) : length;
}
