// The bytes of a body, written into linear memory as they come in. Its block grows with what has
// arrived, not with what was announced, and so does what it counts for in the budget.
import type { IncomingMessage } from 'node:http';
import { type FastifyError, type FastifyRequest, errorCodes } from 'fastify';
import type { JsonCodec } from '../../engine/json-codec.ts';
import { type CarryoverError, clientClosed } from '../../errors.ts';
import type { ByteBlock } from '../../wasm/byte-block.ts';
import { addRelease } from '../plugins/admission.ts';
import type { BodyBudget, BodyClaim } from './body-budget.ts';
import { throttleReads } from './read-throttle.ts';
import { sendContinue } from '../connections/expect-continue.ts';
import { type BodyDigest, digestBody } from '../sessions/session-call.ts';

/** Smaller bodies are one chunk of Node's. */
const LONG_BYTES_MIN = 64 * 1024;
/** From one block to the next: of a body of 32 MiB two thirds are copied, in 3 ms. */
const GROWTH = 4;

/** Called once, with one of the two; the block is then the callee's to release. */
type Received = (error: Error | null, text?: ByteBlock) => void;

/** Of a content type parser. */
export type Done = (error: FastifyError | Error | null, value?: unknown) => void;

/** Where bodies go, and what they may take there together. */
export interface BodyRoom {
  readonly jsonCodec: JsonCodec;
  readonly budget: BodyBudget;
}

/** Gives a body to its route, if there is still somebody to be answered. */
export function deliverBody(
  request: FastifyRequest,
  value: unknown,
  release: () => void,
  done: Done,
): void {
  if (addRelease(request, release)) done(null, value);
  else done(clientClosed());
}

/** Callbacks and no promise: most bodies are there before one could settle. */
export function receiveBody(
  request: FastifyRequest,
  payload: IncomingMessage,
  room: BodyRoom,
  done: Received,
): void {
  const { client } = request;
  let receiver: BodyReceiver;
  try {
    receiver = new BodyReceiver(request, room);
  } catch (error) {
    return done(error as Error);
  }
  const receiving = { abort: (error: CarryoverError) => fail(error) };
  const stop = () => {
    // The next request of the connection may have begun.
    if (client?.receiving === receiving) client.receiving = undefined;
    payload.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
  };
  const fail = (error: unknown) => {
    stop();
    receiver.release();
    done(error as Error);
  };
  const onData = (chunk: Buffer) => {
    try {
      receiver.take(chunk);
    } catch (error) {
      return fail(error);
    }
    if (receiver.isLong) throttleReads(payload, chunk.length);
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
  if (client) client.receiving = receiving;
  sendContinue(payload);
  payload.resume();
}

class BodyReceiver {
  readonly #jsonCodec: JsonCodec;
  readonly #bytesMax: number;
  readonly #declaredBytes: number | undefined;
  readonly #digest: BodyDigest | undefined;
  readonly #claim: BodyClaim;
  #text: ByteBlock | undefined;
  #roomBytes = 0;
  #bytes = 0;

  constructor(request: FastifyRequest, { jsonCodec, budget }: BodyRoom) {
    const length = request.headers['content-length'];
    this.#jsonCodec = jsonCodec;
    this.#bytesMax = request.routeOptions.bodyLimit;
    this.#declaredBytes = length === undefined ? undefined : Number(length);
    if ((this.#declaredBytes ?? 0) > this.#bytesMax) throw new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();
    this.#digest = digestBody(request);
    const claim = budget.open(request.client ?? { bodyBytes: 0 });
    this.#claim = claim;
    addRelease(request, () => claim.release());
  }

  get isLong(): boolean {
    return (this.#declaredBytes ?? this.#bytes) >= LONG_BYTES_MIN;
  }

  take(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#digest?.update(chunk);
    if (this.#bytes > this.#bytesMax) throw new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();
    if (this.#bytes > (this.#declaredBytes ?? this.#bytesMax)) {
      throw new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH();
    }
    if (this.#bytes > this.#roomBytes) this.#grow();
    this.#text!.append(chunk);
  }

  finish(): ByteBlock {
    if (this.#declaredBytes !== undefined && this.#bytes !== this.#declaredBytes) {
      throw new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH();
    }
    this.#digest?.finish();
    return (this.#text ??= this.#jsonCodec.allocate(0));
  }

  release(): void {
    this.#text?.release();
    this.#claim.release();
  }

  /** A body without a declared length begins with what has come of it. */
  #grow(): void {
    const before = this.#text;
    const isFirst = before === undefined && this.#declaredBytes === undefined;
    const wanted = isFirst ? this.#bytes : GROWTH * this.#bytes;
    const bytes = Math.min(wanted, this.#declaredBytes ?? this.#bytesMax);
    this.#claim.growTo(bytes);
    const text = this.#jsonCodec.allocate(bytes);
    if (before) {
      text.append(before.view());
      before.release();
    }
    this.#text = text;
    this.#roomBytes = bytes;
  }
}
