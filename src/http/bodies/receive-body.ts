// Receives the bytes of a body into linear memory. Its block grows with what has arrived, not with the length
// that was announced, and so does the body's share of the budget.
import type { Readable } from 'node:stream';
import { type FastifyError, type FastifyRequest, errorCodes } from 'fastify';
import type { JsonCodec } from '../../engine/json-codec.ts';
import { CarryoverError } from '../../errors.ts';
import type { ByteBlock } from '../../wasm/byte-block.ts';
import { sendContinue } from '../connections/expect-continue.ts';
import { addRelease } from '../request.ts';
import { isEncoded } from '../content-coding.ts';
import { type BodyDigest, digestBody } from '../session-request.ts';
import { BlockCopy } from './block-copy.ts';
import type { BodyBudget, BodyClaim } from './body-budget.ts';
import { throttleReads } from './read-throttle.ts';

/** A shorter body arrives as one chunk of Node's. */
const LONG_BYTES_MIN = 64 * 1024;
/**
 * A full block is replaced by one that has this many times the bytes that have arrived. The bytes are copied to it
 * in slices (block-copy.ts): while a body of 32 MiB is received, two thirds of that in all.
 */
const GROWTH = 4;

/** Called once, with an error or with the block of the body, which is then the callee's to release. */
type Received = (error: Error | null, block?: ByteBlock) => void;

/** The callback of a content type parser. */
export type Done = (error: FastifyError | Error | null, value?: unknown) => void;

export interface ReceiverParts {
  /** Reserves the blocks in linear memory. */
  readonly jsonCodec: JsonCodec;
  /** What all bodies together may hold. */
  readonly budget: BodyBudget;
}

/**
 * Receives the body that `payload` is, or is inflated to.
 *
 * Callbacks and no promise: most bodies have arrived before one could settle.
 */
export function receiveBody(
  request: FastifyRequest,
  payload: Readable,
  parts: ReceiverParts,
  done: Received,
): void {
  const { connection } = request;
  let receiver: BodyReceiver;
  try {
    receiver = new BodyReceiver(request, parts);
  } catch (error) {
    const delayMs = isRateLimited(error) ? (request.usage?.counts.refusalDelayMs() ?? 0) : 0;
    if (delayMs > 0) setTimeout(done, delayMs, error);
    else done(error as Error);
    return;
  }
  const receiving = { abort: (error: CarryoverError) => fail(error) };
  const stop = () => {
    // The next request of the connection may have begun.
    if (connection?.receiving === receiving) connection.receiving = undefined;
    payload.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
  };
  const fail = (error: unknown) => {
    stop();
    // What was inflating it ends; the rest of the request's own body is discarded by Node.
    if (payload !== request.raw) payload.destroy();
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
    let block: ByteBlock;
    try {
      block = receiver.finish();
    } catch (error) {
      return fail(error);
    }
    stop();
    const deliver = () => {
      if (receiver.copyNext()) done(null, block);
      else setImmediate(deliver);
    };
    deliver();
  };
  const onError = (error: Error) => fail(Object.assign(error, { statusCode: 400 }));
  const onClose = () => onError(new Error('The connection was closed before the body was complete'));
  payload.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
  if (connection) connection.receiving = receiving;
  sendContinue(request.raw);
  payload.resume();
}

/** The block of one body, its share of the budget and, for a call with an Idempotency-Key, its digest. */
class BodyReceiver {
  readonly #request: FastifyRequest;
  readonly #jsonCodec: JsonCodec;
  readonly #bytesMax: number;
  readonly #declaredBytes: number | undefined;
  readonly #digest: BodyDigest | undefined;
  readonly #claim: BodyClaim;
  #block: ByteBlock | undefined;
  /** The bytes of the previous block, as long as not all of them are in the block. */
  #copy: BlockCopy | undefined;
  /** Reserved in the block. */
  #blockBytes = 0;
  /** Arrived so far. */
  #bytes = 0;

  /** @throws body_too_large if the declared length exceeds the route's limit */
  constructor(request: FastifyRequest, { jsonCodec, budget }: ReceiverParts) {
    const length = request.headers['content-length'];
    this.#request = request;
    this.#jsonCodec = jsonCodec;
    this.#bytesMax = request.routeOptions.bodyLimit;
    if (Number(length ?? 0) > this.#bytesMax) throw bodyTooLarge(`${length} bytes`, this.#bytesMax);
    this.#declaredBytes = length === undefined || isEncoded(request) ? undefined : Number(length);
    // What does not fit in any case is not read first.
    if (this.#declaredBytes !== undefined) request.usage?.expectBodyBytes(this.#declaredBytes);
    this.#digest = digestBody(request);
    const claim = budget.open(request.connection ?? { bodyBytes: 0 }, request.usage);
    this.#claim = claim;
    addRelease(request, () => claim.release());
  }

  get isLong(): boolean {
    return (this.#declaredBytes ?? this.#bytes) >= LONG_BYTES_MIN;
  }

  /** @throws body_too_large · FST_ERR_CTP_INVALID_CONTENT_LENGTH · queue_full · memory_full */
  take(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#request.bodyBytes = this.#bytes;
    this.#digest?.update(chunk);
    if (this.#bytes > this.#bytesMax) throw bodyTooLarge(`${this.#bytes} bytes or more`, this.#bytesMax);
    if (this.#bytes > (this.#declaredBytes ?? this.#bytesMax)) {
      throw new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH();
    }
    if (this.#bytes > this.#blockBytes) this.#grow();
    this.#block!.append(chunk);
    this.copyNext();
  }

  /** Copies a slice of the previous block. @returns whether the block has all bytes that have arrived */
  copyNext(): boolean {
    if (this.#copy?.next()) this.#copy = undefined;
    return this.#copy === undefined;
  }

  /**
   * The block of the complete body, which has all bytes once copyNext() returns true. @throws
   * FST_ERR_CTP_INVALID_CONTENT_LENGTH
   */
  finish(): ByteBlock {
    if (this.#declaredBytes !== undefined && this.#bytes !== this.#declaredBytes) {
      throw new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH();
    }
    this.#digest?.finish();
    return (this.#block ??= this.#jsonCodec.allocate(0));
  }

  /** Frees the block and gives the share of the budget back. */
  release(): void {
    this.#copy?.[Symbol.dispose]();
    this.#block?.release();
    this.#claim.release();
  }

  /** The first block of a body without a declared length has the size of its first chunk. */
  #grow(): void {
    const before = this.#block;
    const isFirst = before === undefined && this.#declaredBytes === undefined;
    const wanted = isFirst ? this.#bytes : GROWTH * this.#bytes;
    const bytes = Math.min(wanted, this.#declaredBytes ?? this.#bytesMax);
    this.#claim.growTo(bytes);
    const block = this.#jsonCodec.allocate(bytes);
    // Completes the copy to the block that is full now, before the next one begins. It hardly ever has anything left:
    // the block had free space for three times what was copied to it.
    while (!this.copyNext());
    if (before) this.#copy = new BlockCopy(before, block);
    this.#block = block;
    this.#blockBytes = bytes;
  }
}

/** Then it may be one of many. */
function isRateLimited(error: unknown): boolean {
  return error instanceof CarryoverError && error.code === 'rate_limited';
}

function bodyTooLarge(found: string, bytesMax: number): CarryoverError {
  const detail = `The body has ${found}, expected at most ${bytesMax}, the limit of this server (BODY_BYTES_MAX).`;
  return new CarryoverError('body_too_large', { detail });
}
