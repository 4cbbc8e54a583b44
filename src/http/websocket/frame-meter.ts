// Follows the frames of a WebSocket in the bytes that arrive (RFC 6455, section 5.2), without keeping any:
//
//   | FIN 1 | RSV 3 | opcode 4 | MASK 1 | length 7 | length 16 or 64, if length 7 is 126 or 127 |
//   | masking key 32, if MASK is set | payload |
//
// The WebSocket library reports a message when all of it is in memory. This reports its length when the
// header is there, and its payload as it arrives, so that both can be limited before memory is used.

/** Header of a data frame: text, binary or continuation. */
export interface FrameHeader {
  readonly payloadBytes: number;
  /** FIN: whether the frame is the last one of its message. */
  readonly isFinal: boolean;
}

export interface FrameListener {
  /** The header of a data frame is complete. */
  onFrame(header: FrameHeader): void;
  /**
   * Payload of a data frame has arrived; 0 bytes for a frame without payload.
   *
   * @param isMessageEnd whether the message is complete with these bytes
   */
  onPayload(bytes: number, isMessageEnd: boolean): void;
}

/** Opcodes from here on are those of control frames: close, ping, pong. */
const CONTROL_OPCODE_MIN = 8;
const MASKING_KEY_BYTES = 4;
const HEADER_BYTES_MAX = 14;

export class FrameMeter {
  readonly #listener: FrameListener;
  readonly #header = Buffer.alloc(HEADER_BYTES_MAX);
  #headerBytes = 0;
  #payloadBytesLeft = 0;
  #isData = false;
  #isFinal = false;

  /** @param listener is called for data frames only */
  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  /** Bytes that are missing of the payload of the frame whose header is complete; 0 between frames. */
  get payloadBytesLeft(): number {
    return this.#payloadBytesLeft;
  }

  /** Takes the next bytes of the connection. */
  read(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#payloadBytesLeft > 0) {
        const bytes = Math.min(this.#payloadBytesLeft, chunk.length - offset);
        this.#payloadBytesLeft -= bytes;
        offset += bytes;
        this.#reportPayload(bytes);
        continue;
      }
      this.#header[this.#headerBytes++] = chunk[offset++]!;
      if (this.#headerBytes >= 2 && this.#headerBytes === headerBytesOf(this.#header)) {
        this.#reportFrame();
      }
    }
  }

  #reportFrame(): void {
    const header = this.#header;
    const payloadBytes = payloadBytesOf(header);
    this.#headerBytes = 0;
    this.#payloadBytesLeft = payloadBytes;
    this.#isData = (header[0]! & 0x0f) < CONTROL_OPCODE_MIN;
    this.#isFinal = (header[0]! & 0x80) !== 0;
    if (this.#isData) this.#listener.onFrame({ payloadBytes, isFinal: this.#isFinal });
    if (payloadBytes === 0) this.#reportPayload(0);
  }

  #reportPayload(bytes: number): void {
    if (!this.#isData) return;
    this.#listener.onPayload(bytes, this.#isFinal && this.#payloadBytesLeft === 0);
  }
}

/** With the masking key. */
function headerBytesOf(header: Buffer): number {
  const length = header[1]! & 0x7f;
  const isMasked = (header[1]! & 0x80) !== 0;
  return (length === 127 ? 10 : length === 126 ? 4 : 2) + (isMasked ? MASKING_KEY_BYTES : 0);
}

function payloadBytesOf(header: Buffer): number {
  const length = header[1]! & 0x7f;
  if (length === 127) return Number(header.readBigUInt64BE(2));
  return length === 126 ? header.readUInt16BE(2) : length;
}
