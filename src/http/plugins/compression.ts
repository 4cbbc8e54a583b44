// Responses in JSON and HTML are compressed if the client asks for it and they are large: in one piece and on
// libuv's threads, so the event loop is not blocked and the length is known. (@fastify/compress offers either:
// compression on the event loop, or a stream without Content-Length.)
//
// Streams are not compressed, since each step is to arrive when it is computed. Nor are tensors as bytes, unless the client
// asks for nothing else: the mantissas of states are noise, and a twelfth is saved. No response contains a secret beside text that
// an attacker chose, so its length reveals nothing (BREACH).
import { promisify } from 'node:util';
import { brotliCompress, constants, deflate, gzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { HttpServer } from '../http-server.ts';
import { HEADER_LENGTH } from '../responses/inference-headers.ts';
import { varyBy } from '../vary.ts';

const gzipAsync = promisify(gzip);
const deflateAsync = promisify(deflate);
const brotliAsync = promisify(brotliCompress);

type Compress = (body: string | Buffer, bytes: number) => Promise<Buffer>;

/** zlib crosses to its thread and back for every chunk of output: most responses should need one. */
const CHUNK_BYTES_MAX = 1024 * 1024;
const chunkSize = (bytes: number) => Math.min(CHUNK_BYTES_MAX, Math.max(1_024, bytes));

/**
 * At the lowest levels: only short repetitions occur in decimals, close to each other. Measured on a response
 * of 47 kB, processor time and bytes: br 1 0.4 ms 20.3 kB, br 2 0.5 ms 19.4 kB, gzip 1 0.5 ms 21.5 kB,
 * gzip 6 3 ms 20.1 kB.
 */
const ENCODINGS: Readonly<Record<string, Compress>> = {
  br: (body, bytes) =>
    brotliAsync(body, {
      chunkSize: chunkSize(bytes),
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 1,
        [constants.BROTLI_PARAM_LGWIN]: 16,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes,
      },
    }),
  gzip: (body, bytes) => gzipAsync(body, { chunkSize: chunkSize(bytes), level: 1 }),
  // In the zlib format (RFC 9110, section 8.4.1.2).
  deflate: (body, bytes) => deflateAsync(body, { chunkSize: chunkSize(bytes), level: 1 }),
};

const COMPRESSIBLE = /^(application\/(problem\+)?json|text\/html)\b/;

/**
 * Whether an answer of the Open Inference Protocol that has tensors as bytes is to be compressed. Its clients name one coding
 * if they are told to ask for it; HTTP libraries that always ask name several.
 */
function isWantedCompressed({ headers }: FastifyRequest, reply: FastifyReply): boolean {
  return reply.hasHeader(HEADER_LENGTH) && /^\s*(gzip|deflate)\s*$/i.test(headers['accept-encoding'] as string);
}

export interface CompressionOptions {
  /** Responses from this size on are compressed. */
  readonly bytesMin: number;
}

export const compression = fp(
  (app: HttpServer, { bytesMin }: CompressionOptions) => {
    app.addHook('onSend', (request, reply, payload, done) => {
      // Responses that are sent in pieces (the files of /docs), or that a route has compressed, are left as they are.
      if ((typeof payload !== 'string' && !Buffer.isBuffer(payload)) || reply.hasHeader('content-encoding')) return done(null, payload);
      const type = String(reply.getHeader('content-type'));
      if (!COMPRESSIBLE.test(type) && !isWantedCompressed(request, reply)) return done(null, payload);
      varyBy(reply, 'accept-encoding');
      const bytes = Buffer.byteLength(payload);
      const encoding = bytes < bytesMin ? undefined : encodingFor(request);
      if (encoding === undefined) return done(null, payload);
      void compress(reply, payload, bytes, encoding, done);
    });
  },
  { name: 'compression', dependencies: ['@fastify/accepts'] },
);

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
  // Set by a route, it would be the length before compression; Fastify sets it later.
  void reply.removeHeader('content-length');
  done(null, compressed);
}

/** The encoding that Accept-Encoding prefers, if it is one of ours; without the header, none. */
function encodingFor(request: FastifyRequest): string | undefined {
  if (request.headers['accept-encoding'] === undefined) return undefined;
  const encoding = request.accepts().encoding([...Object.keys(ENCODINGS), 'identity']);
  return typeof encoding === 'string' && Object.hasOwn(ENCODINGS, encoding) ? encoding : undefined;
}
