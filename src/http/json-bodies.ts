// JSON bodies: received straight into linear memory, read there (engine/texts.ts).
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { JsonBody } from '../engine/json-body.ts';
import type { Texts } from '../engine/texts.ts';
import type { ByteBlock } from '../wasm/byte-block.ts';
import { takesBody } from './body-types.ts';
import { type BodyRoom, type Done, handOn, receiveBody } from './receive-body.ts';

export function jsonBodies(app: FastifyInstance, room: BodyRoom): void {
  const { texts } = room;
  app.addContentTypeParser('application/json', (request, payload, done: Done) => {
    receiveBody(request, payload, room, (error, text) => {
      if (!text) return done(error);
      // Some clients announce JSON also where there is no body.
      if (text.bytes === 0 && !takesBody(request)) {
        text.release();
        return done(null, undefined);
      }
      readBody(request, texts, text, done);
    });
  });
}

/** A short body is read at once: then there is no promise to wait for. */
function readBody(request: FastifyRequest, texts: Texts, text: ByteBlock, done: Done): void {
  let body: JsonBody | Promise<JsonBody>;
  try {
    body = texts.read(text, request.lifetime);
  } catch (error) {
    return done(error as Error);
  }
  if (body instanceof Promise) void handOnLater(request, body, done);
  else handOnBody(request, body, done);
}

async function handOnLater(
  request: FastifyRequest,
  reading: Promise<JsonBody>,
  done: Done,
): Promise<void> {
  let body: JsonBody;
  try {
    body = await reading;
  } catch (error) {
    return done(error as Error);
  }
  handOnBody(request, body, done);
}

function handOnBody(request: FastifyRequest, body: JsonBody, done: Done): void {
  handOn(request, body.value, () => body.release(), done);
}
