// Bodies of the Open Inference Protocol, whatever their Content-Type says: JSON, and perhaps tensors as bytes behind it. Then
// the header Inference-Header-Content-Length says how many bytes the JSON has.
import type { FastifyRequest } from 'fastify';
import type { Reviver } from '../../codec/json/parse.ts';
import type { JsonCodec } from '../../engine/json-codec.ts';
import { CarryoverError, clientClosed, invalidRequest } from '../../errors.ts';
import type { ByteBlock } from '../../wasm/byte-block.ts';
import { type Done, type ReceiverParts, receiveBody } from '../bodies/receive-body.ts';
import type { HttpServer } from '../http-server.ts';
import { addRelease } from '../request.ts';
import { HEADER_LENGTH } from '../responses/inference-headers.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The bytes behind the JSON, in linear memory; undefined if there is no header that says where they begin. */
    rawTensors: Buffer | undefined;
  }
}

/** Replaces the parsers of all content types of `app`, which has the routes of the protocol alone. */
export function parseInferenceBodies(app: HttpServer, parts: ReceiverParts): void {
  app.decorateRequest('rawTensors', undefined);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, payload, done: Done) => {
    receiveBody(request, payload, parts, (error, block) => {
      if (block) void deliver(request, parts.jsonCodec, block, done);
      else done(error);
    });
  });
}

async function deliver(request: FastifyRequest, jsonCodec: JsonCodec, block: ByteBlock, done: Done): Promise<void> {
  let body: unknown;
  try {
    body = await readBody(request, jsonCodec, block);
  } catch (error) {
    return done(error as Error);
  }
  done(null, body);
}

/** @throws invalid_request · malformed_json and what JsonCodec.parse throws besides */
async function readBody(request: FastifyRequest, jsonCodec: JsonCodec, block: ByteBlock): Promise<unknown> {
  const { lifetime } = request;
  const json = await separateJson(request, jsonCodec, block);
  try {
    const parsed = await jsonCodec.parse(json, lifetime, withSequenceIds);
    if (addRelease(request, () => parsed.release())) return parsed.value;
  } catch (error) {
    throw request.rawTensors === undefined ? withHeaderAdvice(error) : error;
  }
  throw clientClosed();
}

/** The JSON in a block of its own; all of the body, without the header. */
async function separateJson(request: FastifyRequest, jsonCodec: JsonCodec, block: ByteBlock): Promise<ByteBlock> {
  const header = request.headers[HEADER_LENGTH];
  if (header === undefined) return block;
  if (!addRelease(request, () => block.release())) throw clientClosed();
  const jsonBytes = readLength(String(header), block.bytes);
  const body = block.view();
  request.rawTensors = body.subarray(jsonBytes);
  return jsonCodec.allocateCopy(body.subarray(0, jsonBytes));
}

/** @throws invalid_request */
function readLength(header: string, bodyBytes: number): number {
  const bytes = /^\d{1,15}$/.test(header) ? Number(header) : NaN;
  if (bytes <= bodyBytes) return bytes;
  throw invalidRequest(
    `Expected Inference-Header-Content-Length to be the number of bytes of the JSON, an integer of 0 to ${bodyBytes}, ` +
      `the bytes of the body, got ${JSON.stringify(header.slice(0, 40))}.`,
  );
}

/** A uint64 in JSON, which a float64 may not hold. */
const withSequenceIds: Reviver = (key, value, context) => {
  const source = context?.source;
  return key === 'sequence_id' && source !== undefined && /^\d{1,20}$/.test(source) ? BigInt(source) : value;
};

/** What is wrong in the JSON may be that tensors follow it. */
function withHeaderAdvice(error: unknown): unknown {
  if (!(error instanceof CarryoverError) || error.code !== 'malformed_json') return error;
  const advice =
    'If tensors follow the JSON as bytes, the header Inference-Header-Content-Length has to say how many bytes the JSON has.';
  return new CarryoverError('malformed_json', { detail: `${error.message} ${advice}`, errors: error.errors, cause: error });
}
