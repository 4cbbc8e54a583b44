// Parsers of request bodies, one for each content type. The bytes of a body are received straight into linear
// memory: JSON is read there (engine/json-codec.ts), a safetensors file is used there.
//
// Callbacks instead of promises: most bodies have arrived before a promise could settle, and a small step takes
// about 70 µs in all.
import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { JsonCodec } from '../../engine/json-codec.ts';
import type { ParsedJson } from '../../engine/parsed-json.ts';
import { clientClosed } from '../../errors.ts';
import type { ByteBlock } from '../../wasm/byte-block.ts';
import { bodyMismatch, isJsonInUtf8, acceptsBody, acceptsFile, unsupportedType } from '../bodies/body-types.ts';
import { type Done, type ReceiverParts, receiveBody } from '../bodies/receive-body.ts';
import type { HttpServer } from '../http-server.ts';
import { JSON_TYPE, MODEL_FILE_TYPES, NDJSON_TYPE } from '../media-types.ts';
import { addRelease } from '../request.ts';

export const requestBodies = fp(
  (app: HttpServer, parts: ReceiverParts) => {
    app.decorateRequest('bodyBytes', 0);
    app.decorateRequest('bodyDigest', undefined);
    app.decorateRequest('sessionInFile', undefined);
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(JSON_TYPE, (request, payload, done: Done) => {
      if (!isJsonInUtf8(request)) return refuseBody(request, payload, done);
      receiveBody(request, payload, parts, (error, block) => {
        if (!block) return done(error);
        // Some clients announce JSON although they send no body.
        if (block.bytes === 0 && !acceptsBody(request)) {
          block.release();
          return done(null, undefined);
        }
        readJson(request, parts.jsonCodec, block, done);
      });
    });
    app.addContentTypeParser([...MODEL_FILE_TYPES, NDJSON_TYPE], (request, payload, done: Done) => {
      if (!acceptsFile(request)) return refuseBody(request, payload, done);
      receiveBody(request, payload, parts, (error, block) => {
        if (!block) return done(error);
        deliverBody(request, block.view(), () => block.release(), done);
      });
    });
    app.addContentTypeParser('*', refuseBody);
    app.addHook('preValidation', (request, _reply, done) => done(bodyMismatch(request)));
  },
  { name: 'request-bodies', dependencies: ['admission'] },
);

/** A short body is read at once, and then there is no promise to wait for. */
function readJson(request: FastifyRequest, jsonCodec: JsonCodec, block: ByteBlock, done: Done): void {
  let body: ParsedJson | Promise<ParsedJson>;
  try {
    body = jsonCodec.parse(block, request.lifetime);
  } catch (error) {
    return done(error as Error);
  }
  if (body instanceof Promise) void deliverJsonBodyLater(request, body, done);
  else deliverJsonBody(request, body, done);
}

async function deliverJsonBodyLater(
  request: FastifyRequest,
  reading: Promise<ParsedJson>,
  done: Done,
): Promise<void> {
  let body: ParsedJson;
  try {
    body = await reading;
  } catch (error) {
    return done(error as Error);
  }
  deliverJsonBody(request, body, done);
}

function deliverJsonBody(request: FastifyRequest, body: ParsedJson, done: Done): void {
  deliverBody(request, body.value, () => body.release(), done);
}

/**
 * Passes a body to its route and registers `release` for its memory. If the response has been closed
 * meanwhile, the memory is freed and the request fails with client_closed.
 */
function deliverBody(
  request: FastifyRequest,
  value: unknown,
  release: () => void,
  done: Done,
): void {
  if (addRelease(request, release)) done(null, value);
  else done(clientClosed());
}

/**
 * Refuses a body of a type that the route does not accept, at its first byte. A request without a single byte
 * has no body, whatever type it announces.
 */
function refuseBody(request: FastifyRequest, payload: IncomingMessage, done: Done): void {
  if (isAnnounced(request)) return done(unsupportedType(request));
  const settle = (error: Error | null) => {
    payload.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
    done(error);
  };
  const onData = () => settle(unsupportedType(request));
  const onEnd = () => settle(null);
  const onClose = () =>
    settle(Object.assign(new Error('The connection was closed before the body was complete'), {
      statusCode: 400,
    }));
  payload.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
}

/**
 * Whether the headers say that a body follows. Whether a chunked body has a byte shows only when it arrives;
 * but a client that sent `Expect: 100-continue` waits for a response before it sends one.
 */
function isAnnounced({ headers }: FastifyRequest): boolean {
  return Number(headers['content-length'] ?? 0) > 0 || headers.expect !== undefined;
}
