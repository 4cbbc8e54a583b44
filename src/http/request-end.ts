// The end of every request, answered or not, reported once to those that count or log requests.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../error-kinds.ts';
import type { RequestRecord } from '../request-record.ts';
import type { RequestTrace } from '../request-trace.ts';

/** A request that has ended. What is not known, as of bytes that are no request, is undefined. */
export interface EndedRequest {
  readonly method: string | undefined;
  /** The pattern of its route. */
  readonly route: string | undefined;
  /** Undefined if no head was sent; 101 of a WebSocket, which has ended with its request. */
  readonly statusCode: number | undefined;
  readonly durationMs: number | undefined;
  /** Of its body; of a WebSocket, all that was received after the handshake. */
  readonly bytesIn: number;
  /** Written to its connection, the head included. */
  readonly bytesOut: number;
  /** The address of the client; see TRUST_PROXY. */
  readonly client: string | undefined;
  /** Of its key or token; undefined if it has none. */
  readonly tenant: string | undefined;
  /** Of the session that the request is about. Not to be logged as it is: whoever has it has the session. */
  readonly sessionId: string | undefined;
  readonly errorCode: ErrorCode | undefined;
  /** Why it was not answered completely; undefined if it was. */
  readonly unanswered: string | undefined;
  /** Undefined if it was refused before its lifetime began. */
  readonly record: RequestRecord | undefined;
  /** Undefined if it is part of none. */
  readonly trace: RequestTrace | undefined;
}

/** @param log of the request, with its id in every line */
export type RequestEndListener = (ended: EndedRequest, log: FastifyBaseLogger) => void;

const SESSION_ROUTES = '/v1/sessions/:id';

/**
 * Calls `listener` when the response of the request is closed. To be called when the request has arrived.
 *
 * @param errorCode of a request that has no record for it, as it is refused before the first hook
 */
export function reportEnd(
  request: FastifyRequest,
  reply: FastifyReply,
  listener: RequestEndListener,
  errorCode?: ErrorCode,
): void {
  const { socket } = request.raw;
  // Asked for now: a socket that is closed does not know its peer any more.
  const client = clientAddress(request);
  // One request of a connection runs at a time, so all that is written meanwhile belongs to its response.
  const { bytesWritten, bytesRead } = socket;
  // Fastify has a clock for replies, but it runs only with a logger or with hooks behind the response.
  const startMs = performance.now();
  reply.raw.on('close', () => {
    const { raw } = reply;
    const record = recordOf(request);
    const isAnswered = raw.writableFinished;
    const isWebSocket = request.ws && !raw.headersSent && !isAnswered && reply.sent;
    const isHeadSent = isAnswered || raw.headersSent;
    const route = request.routeOptions.url;
    const ended = {
      method: request.method,
      route,
      statusCode: isWebSocket ? 101 : isHeadSent ? reply.statusCode : undefined,
      durationMs: performance.now() - startMs,
      bytesIn: isWebSocket ? socket.bytesRead - bytesRead : request.bodyBytes,
      bytesOut: socket.bytesWritten - bytesWritten,
      client,
      tenant: request.lifetime?.tenant,
      sessionId: record?.sessionId ?? sessionInAddress(request, route),
      errorCode: record?.errorCode ?? errorCode,
      unanswered: isAnswered || isWebSocket ? undefined : (request.connection?.endReason ?? 'the client left'),
      record,
      trace: request.raw.trace,
    };
    listener(ended, request.log);
  });
}

/** A request whose connection was lost before it was its turn: the ones before it were not answered. */
export function unservedRequest({ method, socket }: IncomingMessage, unanswered: string): EndedRequest {
  return { ...NOTHING_KNOWN, method, client: socket.remoteAddress, unanswered };
}

/** A request that could not be read, answered by `errorCode` on its socket. */
export function unreadRequest(
  { remoteAddress, bytesRead }: Socket,
  { errorCode, statusCode, bytesOut, method }: Pick<EndedRequest, 'errorCode' | 'statusCode' | 'bytesOut' | 'method'>,
): EndedRequest {
  return { ...NOTHING_KNOWN, method, statusCode, bytesIn: bytesRead, bytesOut, client: remoteAddress, errorCode };
}

const NOTHING_KNOWN: EndedRequest = {
  method: undefined,
  route: undefined,
  statusCode: undefined,
  durationMs: undefined,
  bytesIn: 0,
  bytesOut: 0,
  client: undefined,
  tenant: undefined,
  sessionId: undefined,
  errorCode: undefined,
  unanswered: undefined,
  record: undefined,
  trace: undefined,
};

/** Undefined for a request that was refused before the first hook. */
function recordOf({ lifetime }: { readonly lifetime?: FastifyRequest['lifetime'] | null }): RequestRecord | undefined {
  return lifetime?.record;
}

/** What X-Forwarded-For says if TRUST_PROXY allows it and it is an address; else the peer of the connection. */
export function clientAddress({ ip, raw }: FastifyRequest): string | undefined {
  const { remoteAddress } = raw.socket;
  return ip === remoteAddress || isIP(ip ?? '') ? ip : remoteAddress;
}

function sessionInAddress({ params }: FastifyRequest, route: string | undefined): string | undefined {
  return route?.startsWith(SESSION_ROUTES) ? (params as { id?: string }).id : undefined;
}
