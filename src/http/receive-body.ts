// The bytes of a body, written into linear memory as they come in: a declared length is reserved at the
// first of them; bytes without one are kept until the last has come.
import type { IncomingMessage } from 'node:http';
import { type FastifyError, type FastifyRequest, errorCodes } from 'fastify';
import type { Texts } from '../engine/texts.ts';
import { clientClosed } from '../errors.ts';
import type { ByteBlock } from '../wasm/byte-block.ts';
import { holdFor } from './admission.ts';
import { takeTurns } from './body-turns.ts';
import { type BodyDigest, digestBody } from './session-call.ts';

/** Smaller bodies are one chunk of Node's. */
const LONG_BYTES_MIN = 64 * 1024;

/** Called once, with one of the two; the block is then the callee's to release. */
type Received = (error: FastifyError | null, text?: ByteBlock) => void;

/** Of a content type parser. */
export type Done = (error: FastifyError | Error | null, value?: unknown) => void;

/** Gives a body to its route, if there is still somebody to be answered. */
export function handOn(
  request: FastifyRequest,
  value: unknown,
  release: () => void,
  done: Done,
): void {
  if (holdFor(request, release)) done(null, value);
  else done(clientClosed());
}

/** Callbacks and no promise: most bodies are there before one could settle. */
export function receiveBody(
  request: FastifyRequest,
  payload: IncomingMessage,
  texts: Texts,
  done: Received,
): void {
  let receiver: BodyReceiver;
  try {
    receiver = new BodyReceiver(request, texts);
  } catch (error) {
    return done(error as FastifyError);
  }
  const stop = () => {
    payload.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
  };
  const fail = (error: unknown) => {
    stop();
    receiver.release();
    done(error as FastifyError);
  };
  const onData = (chunk: Buffer) => {
    try {
      receiver.take(chunk);
    } catch (error) {
      return fail(error);
    }
    if (receiver.isLong) takeTurns(payload, chunk.length);
  };
  const onEnd = () => {
    let text: ByteBlock;
    try {
      text = receiver.finish();
    } catch (error) {
      return fail(error);
    }
    stop();
    done(null, text);
  };
  const onError = (error: Error) => fail(Object.assign(error, { statusCode: 400 }));
  const onClose = () => onError(new Error('The connection was closed before the body was complete'));
  payload.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
  payload.resume();
}

class BodyReceiver {
  readonly #texts: Texts;
  readonly #bytesMax: number;
  readonly #declaredBytes: number | undefined;
  readonly #digest: BodyDigest | undefined;
  readonly #waiting: Buffer[] = [];
  #text: ByteBlock | undefined;
  #bytes = 0;

  constructor(request: FastifyRequest, texts: Texts) {
    const length = request.headers['content-length'];
    this.#texts = texts;
    this.#bytesMax = request.routeOptions.bodyLimit;
    this.#declaredBytes = length === undefined ? undefined : Number(length);
    if ((this.#declaredBytes ?? 0) > this.#bytesMax) throw new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();
    this.#digest = digestBody(request);
  }

  get isLong(): boolean {
    return (this.#declaredBytes ?? this.#bytes) >= LONG_BYTES_MIN;
  }

  take(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#digest?.update(chunk);
    if (this.#bytes > this.#bytesMax) throw new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();
    if (this.#declaredBytes === undefined) {
      this.#waiting.push(chunk);
      return;
    }
    this.#text ??= this.#texts.open(this.#declaredBytes);
    if (!this.#text.append(chunk)) throw new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH();
  }

  finish(): ByteBlock {
    if (this.#declaredBytes !== undefined && this.#bytes !== this.#declaredBytes) {
      throw new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH();
    }
    this.#digest?.finish();
    this.#text ??= this.#texts.open(this.#bytes);
    for (const chunk of this.#waiting) this.#text.append(chunk);
    return this.#text;
  }

  release(): void {
    this.#text?.release();
  }
}
