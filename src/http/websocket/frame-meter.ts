// Reads WebSocket frames as their bytes arrive (RFC 6455, section 5.2), so that a message is measured when
// it is announced, and counted as it comes in, and not when all of it is in memory:
//
//   | FIN 1 | RSV 3 | opcode 4 | MASK 1 | length 7 | length 16 or 64, if length 7 is 126 or 127 | … |

/** Of a frame with data; of a message in several frames only the last is final. */
export interface FrameHeader {
  readonly bytes: number;
  readonly isFinal: boolean;
}

export interface FrameListener {
  announced(header: FrameHeader): void;
  /** @param isWhole whether the message is complete with them */
  arrived(bytes: number, isWhole: boolean): void;
}

/** Opcodes from here on are control frames: close, ping, pong. */
const CONTROL = 8;
const MASK_KEY_BYTES = 4;
const HEADER_BYTES_MAX = 14;

export class FrameMeter {
  readonly #header = Buffer.alloc(HEADER_BYTES_MAX);
  #headerBytes = 0;
  /** What is still to come of the frame whose header was read. */
  #restBytes = 0;
  #isData = false;
  #isFinal = false;

  /** Takes the next bytes; `listener` is told of frames with data, in their order. */
  read(chunk: Uint8Array, listener: FrameListener): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#restBytes > 0) {
        const bytes = Math.min(this.#restBytes, chunk.length - at);
        this.#restBytes -= bytes;
        at += bytes;
        this.#arrive(bytes, listener);
        continue;
      }
      this.#header[this.#headerBytes++] = chunk[at++]!;
      if (this.#headerBytes >= 2 && this.#headerBytes === headerBytesOf(this.#header)) {
        this.#announce(listener);
      }
    }
  }

  #announce(listener: FrameListener): void {
    const header = this.#header;
    const bytes = payloadBytesOf(header);
    this.#headerBytes = 0;
    this.#restBytes = bytes;
    this.#isData = (header[0]! & 0x0f) < CONTROL;
    this.#isFinal = (header[0]! & 0x80) !== 0;
    if (this.#isData) listener.announced({ bytes, isFinal: this.#isFinal });
    if (bytes === 0) this.#arrive(0, listener);
  }

  #arrive(bytes: number, listener: FrameListener): void {
    if (this.#isData) listener.arrived(bytes, this.#isFinal && this.#restBytes === 0);
  }
}

/** With the mask's key. */
function headerBytesOf(header: Buffer): number {
  const length = header[1]! & 0x7f;
  const isMasked = (header[1]! & 0x80) !== 0;
  return (length === 127 ? 10 : length === 126 ? 4 : 2) + (isMasked ? MASK_KEY_BYTES : 0);
}

function payloadBytesOf(header: Buffer): number {
  const length = header[1]! & 0x7f;
  if (length === 127) return Number(header.readBigUInt64BE(2));
  return length === 126 ? header.readUInt16BE(2) : length;
}
