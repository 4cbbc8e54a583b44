// Inflates the body of a request while it arrives, piece by piece on libuv's threads. Whoever receives it bounds what it is
// inflated to, and destroys the stream beyond that: no more is inflated then, however much is compressed in the rest.
import { createGunzip, createInflate } from 'node:zlib';
import type { FastifyRequest, preParsingHookHandler } from 'fastify';
import { type InflatedCoding, codingOf } from '../content-coding.ts';

const INFLATES = { gzip: createGunzip, deflate: createInflate } as const;

/** A hook for the routes whose `config.inflates` is true. */
export const inflateBody: preParsingHookHandler = (request, _reply, payload, done) => {
  const coding = codingOf(request);
  done(null, coding === undefined ? payload : inflated(request, coding as InflatedCoding));
};

function inflated({ raw }: FastifyRequest, coding: InflatedCoding) {
  const stream = INFLATES[coding]();
  const onClose = () => {
    if (!raw.complete) stream.destroy(new Error('The connection was closed before the body was complete'));
  };
  // Also for errors after the body was refused.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code?.startsWith('Z_')) error.message = `The body is not ${coding}, as its Content-Encoding says: ${error.message}.`;
  });
  stream.once('close', () => {
    raw.off('close', onClose).unpipe(stream);
    // The rest of a body that was refused is discarded.
    raw.resume();
  });
  raw.once('close', onClose).pipe(stream);
  return stream;
}
