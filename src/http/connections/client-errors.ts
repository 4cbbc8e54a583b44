// Errors of Node's HTTP parser, requests that do not arrive in time, and CONNECT. There is no response object, so the
// response is written on the socket, with the headers that every response has.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import type { ErrorCode } from '../../error-kinds.ts';
import { CarryoverError } from '../../errors.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import { PROBLEM_TYPE, problemBody } from '../schemas/problem.ts';
import { unreadRequest } from '../request-end.ts';
import { SECURITY_HEADERS } from '../security-headers.ts';

// Why it is not imported: see http.ts.
const { STATUS_CODES } = process.getBuiltinModule('node:http');

const PROBLEMS: Readonly<Record<string, { readonly code: ErrorCode; readonly detail: string }>> = {
  HPE_HEADER_OVERFLOW: {
    code: 'headers_too_large',
    detail: 'The headers together exceed 16 KiB.',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    code: 'invalid_request',
    detail: 'The extensions of a chunk exceed 16 KiB.',
  },
  HPE_INVALID_EOF_STATE: {
    code: 'invalid_request',
    detail: 'The connection was closed before the request was complete.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    code: 'request_timeout',
    detail: 'The request was not complete within the time limit (REQUEST_TIMEOUT_MS).',
  },
};

/** How much of an address is repeated. */
const SHOWN_CHARACTERS_MAX = 200;

/** Answers the error if a response can still be sent, and closes the connection. */
export function answerClientError(
  error: NodeJS.ErrnoException,
  socket: Socket,
  connections: Connections,
  log: FastifyBaseLogger,
): void {
  const connection = connections.of(socket);
  if (!connection) logHandshake(error, log);
  if (!connection || !socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  // What arrives after the last response is discarded.
  if (connection.isEnding) return;
  const { code, detail } = PROBLEMS[error.code ?? ''] ?? {
    code: 'invalid_request',
    detail: 'The bytes received are not an HTTP/1.1 request.',
  };
  const problem = new CarryoverError(code, { detail });
  if (connection.receiving) {
    connection.hasParserError = true;
    return connection.receiving.abort(problem);
  }
  if (canAnswer(connection)) return endWithProblem(socket, problem, connections, log);
  log.info({ code, requests: connection.requests, bytes: socket.bytesRead }, 'connection closed');
  connection.terminate(detail);
}

/** The handshake of TLS has failed. Probes that only connect, and leave, are not worth a line. */
function logHandshake({ code }: NodeJS.ErrnoException, log: FastifyBaseLogger): void {
  if (code !== 'ECONNRESET') log.info({ code }, 'no TLS connection: the handshake failed');
}

/** Otherwise a head would become part of the response that is being sent, or answer a request that has been answered. */
function canAnswer({ requests, isAnsweredEarly, socket }: Connection): boolean {
  return requests === 0 && !isAnsweredEarly && socket.bytesRead > 0;
}

/** The methods of all addresses together, for a request that has none. */
export const SERVED_METHODS = 'GET, HEAD, POST, PUT, DELETE';

/** Refuses CONNECT, for which Node closes the connection if nobody does; it has taken its parser off the socket. */
export function refuseTunnel(
  { url = '' }: IncomingMessage,
  socket: Socket,
  connections: Connections,
  log: FastifyBaseLogger,
): void {
  // Node's own listener is gone too.
  socket.on('error', () => socket.destroy());
  const connection = connections.of(socket);
  if (!connection || connection.isEnding || !canAnswer(connection)) return void socket.destroy();
  const detail = `CONNECT ${url.slice(0, SHOWN_CHARACTERS_MAX)} is not served: this server is no proxy.`;
  const problem = new CarryoverError('method_not_allowed', { detail });
  endWithProblem(socket, problem, connections, log, { method: 'CONNECT', headers: `allow: ${SERVED_METHODS}\r\n` });
}

interface UnreadRequestParts {
  /** Undefined if it could not be read. */
  readonly method?: string;
  /** Further header lines of the response, each with its CRLF. */
  readonly headers?: string;
}

/** Writes the problem as the last response of a socket, and closes the connection. */
export function endWithProblem(
  socket: Socket,
  problem: CarryoverError,
  connections: Connections,
  log: FastifyBaseLogger,
  { method, headers = '' }: UnreadRequestParts = {},
): void {
  const { code } = problem;
  const { status } = problem.kind;
  const { publicAddress, cors } = connections.parts;
  const reqId = randomUUID();
  const body = JSON.stringify(problemBody(problem, reqId, publicAddress));
  const constant = Object.entries({ ...SECURITY_HEADERS, ...cors.unreadRequestHeaders }).map(([name, value]) => `${name}: ${value}\r\n`);
  const response =
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${constant.join('')}x-request-id: ${reqId}\r\n` +
      `content-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
      `${headers}connection: close\r\n\r\n${body}`;
  const ended = { method, statusCode: status, errorCode: code, bytesOut: Buffer.byteLength(response) };
  connections.reportEnd(unreadRequest(socket, ended), log.child({ reqId }));
  socket.write(response);
  const connection = connections.of(socket);
  if (connection) connection.closeLingering(performance.now());
  else socket.end();
}
