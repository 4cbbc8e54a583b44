// JSON bodies: received straight into linear memory, read there (engine/json-codec.ts).
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { JsonCodec } from '../../engine/json-codec.ts';
import type { ParsedJson } from '../../engine/parsed-json.ts';
import type { ByteBlock } from '../../wasm/byte-block.ts';
import { takesBody } from '../bodies/body-types.ts';
import { type BodyRoom, type Done, deliverBody, receiveBody } from '../bodies/receive-body.ts';

export function jsonBodies(app: FastifyInstance, room: BodyRoom): void {
  const { jsonCodec } = room;
  app.addContentTypeParser('application/json', (request, payload, done: Done) => {
    receiveBody(request, payload, room, (error, text) => {
      if (!text) return done(error);
      // Some clients announce JSON also where there is no body.
      if (text.bytes === 0 && !takesBody(request)) {
        text.release();
        return done(null, undefined);
      }
      readBody(request, jsonCodec, text, done);
    });
  });
}

/** A short body is read at once: then there is no promise to wait for. */
function readBody(request: FastifyRequest, jsonCodec: JsonCodec, text: ByteBlock, done: Done): void {
  let body: ParsedJson | Promise<ParsedJson>;
  try {
    body = jsonCodec.parse(text, request.lifetime);
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
