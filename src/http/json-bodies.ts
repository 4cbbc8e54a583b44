// JSON bodies: received straight into linear memory, read there (engine/texts.ts). The memory is given
// back when the request has ended, however it does.
import type { IncomingMessage } from 'node:http';
import { type FastifyInstance, type FastifyRequest, errorCodes } from 'fastify';
import type { Texts } from '../engine/texts.ts';
import { CarryoverError } from '../errors.ts';
import type { TextBlock } from '../wasm/read-job.ts';
import { whenBodyIsDropped } from './admission.ts';
import { digestBody } from './session-call.ts';

export function jsonBodies(app: FastifyInstance, texts: Texts): void {
  const parse = async (request: FastifyRequest, payload: IncomingMessage) => {
    const text = await receive(request, payload, texts);
    // Some clients announce JSON also where there is no body.
    if (text.bytes === 0 && !request.routeOptions.schema?.body) {
      text.release();
      return undefined;
    }
    const body = await texts.read(text);
    if (whenBodyIsDropped(request, () => body.release())) return body.value;
    body.release();
    throw new CarryoverError('client_closed', { detail: 'The client closed the connection.' });
  };
  app.addContentTypeParser('application/json', parse);
}

/**
 * The body's bytes in linear memory. A declared length is reserved at the first bytes; bytes without
 * one are kept until the last has come.
 */
async function receive(
  request: FastifyRequest,
  payload: IncomingMessage,
  texts: Texts,
): Promise<TextBlock> {
  const { headers, routeOptions } = request;
  const digest = digestBody(request);
  const bytesMax = routeOptions.bodyLimit;
  const length = headers['content-length'];
  const declared = length === undefined ? undefined : Number(length);
  if (declared !== undefined && declared > bytesMax) throw new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();

  let text: TextBlock | undefined;
  const waiting: Buffer[] = [];
  let bytes = 0;
  const take = (chunk: Buffer) => {
    bytes += chunk.length;
    digest?.update(chunk);
    if (bytes > bytesMax) throw new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();
    if (declared === undefined) {
      waiting.push(chunk);
      return;
    }
    text ??= texts.open(declared);
    if (!text.append(chunk)) throw new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH();
  };
  const finish = (): TextBlock => {
    if (declared !== undefined && bytes !== declared) {
      throw new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH();
    }
    text ??= texts.open(bytes);
    for (const chunk of waiting) text.append(chunk);
    return text;
  };
  try {
    await eachChunk(payload, take);
    digest?.finish();
    return finish();
  } catch (error) {
    text?.release();
    throw error;
  }
}

/** Resolves at the end of the stream; what `take` throws ends the reading, the rest is dropped. */
function eachChunk(stream: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      stream.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
    };
    const onData = (chunk: Buffer) => {
      try {
        take(chunk);
      } catch (error) {
        stop();
        reject(error);
      }
    };
    const onEnd = () => {
      stop();
      resolve();
    };
    const onError = (error: Error) => {
      stop();
      reject(Object.assign(error, { statusCode: 400 }));
    };
    const onClose = () => onError(new Error('The connection was closed before the body was complete'));
    stream.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
    stream.resume();
  });
}
