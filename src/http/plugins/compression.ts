// ResponseWriter in JSON are compressed when the client asks for it and they are large. In one piece and on
// libuv's threads: the event loop is not held up and the length stays known. (@fastify/compress does
// one or the other: on the event loop, or as a stream without Content-Length.)
//
// Streams are not compressed: each step is to arrive when it is computed. Nor are tensors as bytes: the
// mantissas of states are noise, and a twelfth would be gained. No answer holds a secret beside what a stranger
// chose, so its length tells nobody anything (BREACH).
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const gzipAsync = promisify(gzip);
const brotliAsync = promisify(brotliCompress);

type Compress = (text: string | Buffer, bytes: number) => Promise<Buffer>;

/** zlib goes to its thread and back for every chunk of output: mostly there should be one. */
const CHUNK_BYTES_MAX = 1024 * 1024;
const chunkSize = (bytes: number) => Math.min(CHUNK_BYTES_MAX, Math.max(1_024, bytes));

/**
 * At the lowest levels: what repeats in decimals are digits, near by. Measured on an answer of 47 kB,
 * processor time and bytes: br 1 0.4 ms 20.3 kB, br 2 0.5 ms 19.4 kB, gzip 1 0.5 ms 21.5 kB,
 * gzip 6 3 ms 20.1 kB.
 */
const ENCODINGS: Readonly<Record<string, Compress>> = {
  br: (text, bytes) =>
    brotliAsync(text, {
      chunkSize: chunkSize(bytes),
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 1,
        [constants.BROTLI_PARAM_LGWIN]: 16,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes,
      },
    }),
  gzip: (text, bytes) => gzipAsync(text, { chunkSize: chunkSize(bytes), level: 1 }),
};

const COMPRESSIBLE = /^(application\/(problem\+)?json|text\/html)\b/;

export function compression(app: FastifyInstance, bytesMin: number): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    // What is sent in pieces (files of /docs) is left as it is.
    if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return done(null, payload);
    if (!COMPRESSIBLE.test(String(reply.getHeader('content-type')))) return done(null, payload);
    varyBy(reply, 'accept-encoding');
    const bytes = Buffer.byteLength(payload);
    const encoding = bytes < bytesMin ? undefined : encodingFor(request);
    if (encoding === undefined) return done(null, payload);
    void compress(reply, payload, bytes, encoding, done);
  });
}

async function compress(
  reply: FastifyReply,
  payload: string | Buffer,
  bytes: number,
  encoding: string,
  done: (error: Error | null, payload?: string | Buffer) => void,
): Promise<void> {
  let compressed: Buffer;
  try {
    compressed = await ENCODINGS[encoding]!(payload, bytes);
  } catch (error) {
    return done(error as Error);
  }
  if (compressed.length >= bytes) return done(null, payload);
  void reply.header('content-encoding', encoding);
  // Fastify has not set it yet; whoever has, has set it for the text.
  void reply.removeHeader('content-length');
  done(null, compressed);
}

/** What Accept-Encoding prefers, if it is one of ours; without the header, none. */
function encodingFor(request: FastifyRequest): string | undefined {
  if (request.headers['accept-encoding'] === undefined) return undefined;
  const encoding = request.accepts().encoding([...Object.keys(ENCODINGS), 'identity']);
  return typeof encoding === 'string' && Object.hasOwn(ENCODINGS, encoding) ? encoding : undefined;
}

function varyBy(reply: FastifyReply, name: string): void {
  const others = reply.getHeader('vary');
  void reply.header('vary', others === undefined ? name : `${String(others)}, ${name}`);
}
