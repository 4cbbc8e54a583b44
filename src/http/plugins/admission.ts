// What is decided before a body is read: whether this request may be served at all.
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CarryoverError, clientClosed } from '../../errors.ts';
import { Lifetime } from '../../lifetime.ts';
import type { Connection } from '../connections/connection.ts';
import type { Connections } from '../connections/connections.ts';

export interface AdmissionOptions {
  readonly isClosing: () => boolean;
  /** From the head of a request until its answer. */
  readonly deadlineMs: number;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose request it is; undefined if it came over no connection, as tests make them. */
    client: Connection | undefined;
    /** Until when the request is worth working on: its deadline, or the end of its connection. */
    lifetime: Lifetime;
    /** What gives back the memory of its body and of its answer; undefined when it was given back. */
    releases: (() => void)[] | undefined;
  }
}

/** Lets go of what a request holds, before its answer has ended: from then on it needs nothing of it. */
export function releaseBody(request: FastifyRequest): void {
  const { releases = [] } = request;
  request.body = undefined;
  request.releases = undefined;
  for (const release of releases) release();
}

/**
 * Has `release` called when nothing of the request is needed any more, at the latest when its answer has
 * been taken by the system or its connection is lost; at once if that is so already.
 *
 * @returns whether it is still needed
 */
export function addRelease(request: FastifyRequest, release: () => void): boolean {
  if (request.releases) request.releases.push(release);
  else release();
  return isBodyHeld(request);
}

/** Whether the memory of a request's body is still its own. */
export function isBodyHeld({ releases }: FastifyRequest): boolean {
  return releases !== undefined;
}

export function admission(
  app: FastifyInstance,
  connections: Connections,
  options: AdmissionOptions,
): void {
  const admit = (request: FastifyRequest, reply: FastifyReply) => {
    const { raw, headers } = request;
    const client = connections.of(raw.socket);
    request.client = client;
    request.lifetime = new Lifetime(raw.socket, options.deadlineMs);
    // Behind the last answer of its connection there is nobody to be answered.
    if (client?.isEnding) throw clientClosed();
    if (client && connections.isBeyondMax(client) && !isAboutHealth(request)) {
      void reply.header('connection', 'close');
      throw connectionsFull();
    }
    // Under Node an offer to upgrade that is declined takes what is sent behind it for another protocol.
    if (headers.upgrade !== undefined) void reply.header('connection', 'close');
    if (options.isClosing()) {
      void reply.header('connection', 'close');
      throw new CarryoverError('shutting_down', { detail: 'This instance takes no new requests.' });
    }
    expectAsHttp(request);
    expectUncompressed(headers);
    request.releases = [];
    reply.raw.once('close', () => {
      request.lifetime.close();
      releaseBody(request);
    });
  };
  app.decorateRequest('client', undefined);
  app.decorateRequest('lifetime');
  app.decorateRequest('releases', undefined);
  // Not async: a promise for every request would be made, and awaited, for nothing.
  app.addHook('onRequest', (request, reply, done) => {
    try {
      admit(request, reply);
    } catch (error) {
      return done(error as Error);
    }
    done();
  });
}

function isAboutHealth({ url }: FastifyRequest): boolean {
  return url.startsWith('/health/');
}

function connectionsFull(): CarryoverError {
  return new CarryoverError('queue_full', {
    detail: 'All connections are in use (CONNECTIONS_MAX); on this one only /health is answered.',
  });
}

/** What Node would refuse without a body (RFC 9112, section 3.2; RFC 9110, section 10.1.1). */
function expectAsHttp({ raw, headers }: FastifyRequest): void {
  if (headers.host === undefined && raw.httpVersion === '1.1') {
    throw new CarryoverError('invalid_request', { detail: 'Expected a Host header, got none.' });
  }
  const { expect } = headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    throw new CarryoverError('expectation_failed', {
      detail: `Expected \`Expect: 100-continue\` or none, got ${expect.slice(0, 40)}.`,
    });
  }
}

/** Node takes a body apart that is chunked, and hands on as it is what another coding has made of it. */
function expectUncompressed(headers: IncomingHttpHeaders): void {
  expectCoding('Content-Encoding', headers['content-encoding'], 'identity');
  expectCoding('Transfer-Encoding', headers['transfer-encoding'], 'chunked');
}

function expectCoding(header: string, coding: string | undefined, expected: string): void {
  if (coding === undefined || coding.toLowerCase() === expected) return;
  throw new CarryoverError('unsupported_media_type', {
    detail: `Expected an uncompressed body, got ${header}: ${coding.slice(0, 40)}.`,
  });
}
