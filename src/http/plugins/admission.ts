// Decides whether a request may be served at all, before its body is read; and gives those that may their
// lifetime and their list of memory to free.
//
// @fastify/under-pressure is not used: it refuses every route when the event loop is late or the heap is large.
// Here each resource has its own bound and its own refusal (connections, bytes of bodies, linear memory, queued
// jobs, waiting calls of a session). A request that does not need the exhausted resource is still served.
import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { CarryoverError, clientClosed } from '../../errors.ts';
import { Lifetime } from '../../lifetime.ts';
import type { Connections } from '../connections/connections.ts';
import { expectKnownCoding } from '../content-coding.ts';
import { isHealthAddress } from '../health-address.ts';
import type { HttpServer } from '../http-server.ts';
import { releaseBody } from '../request.ts';

export interface AdmissionOptions {
  readonly connections: Connections;
  readonly isClosing: () => boolean;
  /** From the head of a request until its response. */
  readonly deadlineMs: number;
}

export const admission = fp(
  (app: HttpServer, options: AdmissionOptions) => {
    app.decorateRequest('connection', undefined);
    app.decorateRequest('lifetime');
    app.decorateRequest('releases', undefined);
    // Not async: every request would create a promise and wait for it.
    app.addHook('onRequest', (request, reply, done) => {
      request.connection = options.connections.of(request.raw.socket);
      request.lifetime = new Lifetime(request.raw.socket, options.deadlineMs);
      request.lifetime.record.trace = request.raw.trace;
      try {
        expectAdmissible(request, reply, options);
      } catch (error) {
        return done(error as Error);
      }
      request.releases = [];
      reply.raw.on('close', () => {
        request.lifetime.close();
        releaseBody(request);
      });
      done();
    });
  },
  { name: 'admission', dependencies: ['security-headers', 'errors'] },
);

/**
 * @throws client_closed · queue_full · shutting_down · invalid_request · expectation_failed · unsupported_media_type
 */
function expectAdmissible(
  request: FastifyRequest,
  reply: FastifyReply,
  { connections, isClosing }: AdmissionOptions,
): void {
  const { connection, raw, url } = request;
  // The last response of the connection was sent: this request cannot be answered.
  if (connection?.isEnding) throw clientClosed();
  if (connection && connections.isForHealthOnly(connection) && !isHealthAddress(url)) {
    void reply.header('connection', 'close');
    throw new CarryoverError('queue_full', {
      detail: 'All connections are in use (CONNECTIONS_MAX); on this one only /health is answered.',
    });
  }
  // When an upgrade is declined, Node's parser treats the bytes after this request as another protocol.
  if (raw.headers.upgrade !== undefined) void reply.header('connection', 'close');
  if (isClosing()) {
    void reply.header('connection', 'close');
    throw new CarryoverError('shutting_down', { detail: 'This instance accepts no new requests.' });
  }
  expectValidHead(raw);
  expectKnownCoding(request);
  expectChunked(raw);
}

/**
 * Node would refuse these by itself, without a problem; but of two Host headers it takes the first (RFC 9112,
 * section 3.2; RFC 9110, section 10.1.1).
 */
function expectValidHead({ headers, rawHeaders, httpVersion }: IncomingMessage): void {
  const hosts = countHosts(rawHeaders);
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1')) {
    const found = hosts === 0 ? 'none' : hosts;
    throw new CarryoverError('invalid_request', { detail: `Expected one Host header, got ${found}.` });
  }
  const { expect } = headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    throw new CarryoverError('expectation_failed', {
      detail: `Expected \`Expect: 100-continue\` or none, got ${expect.slice(0, 40)}.`,
    });
  }
}

/** @param rawHeaders names and values in turn */
function countHosts(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === 'host') count++;
  }
  return count;
}

/** Node decodes a chunked body; a body in any other coding would arrive as it was sent. */
function expectChunked({ headers }: IncomingMessage): void {
  const coding = headers['transfer-encoding'];
  if (coding === undefined || coding.toLowerCase() === 'chunked') return;
  throw new CarryoverError('unsupported_media_type', {
    detail: `Expected an uncompressed body, got Transfer-Encoding: ${coding.slice(0, 40)}.`,
  });
}
