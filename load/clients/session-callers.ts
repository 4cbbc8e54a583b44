// Callers that step sessions, for load-sessions.ts: over POST requests or over WebSockets. They use plain
// sockets and no client library, because they share the cores with the service.
import { readResponseHead } from '../../src/cli/bench/response-head.ts';
import { MessageConnection, frameLength, unexpected } from './message-connection.ts';

/** Steps a few sessions, one step at a time. */
export interface StepCaller {
  /**
   * One step of the k-th session.
   *
   * @throws Error if the answer is not that of a step
   */
  step(k: number): Promise<void>;
  close(): void;
}

export interface SessionInput {
  readonly session: string;
  /** (1, D), sent with every step. */
  readonly x: Float32Array;
}

export type OpenCaller = (url: string, sessions: readonly SessionInput[]) => Promise<StepCaller>;

/** POST /v1/step; all sessions share one connection. */
export const byRequests: OpenCaller = async (url, sessions) => {
  const { host } = new URL(url);
  const connection = await MessageConnection.open(url);
  const requests = sessions.map(({ session, x }) => {
    const body = JSON.stringify({ session, x: [[...x]] });
    return Buffer.from(
      `POST /v1/step HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
  });
  return {
    async step(k) {
      const answer = await connection.call(requests[k]!);
      if (readResponseHead(answer)?.status !== 200) throw unexpected(answer);
    },
    close: () => connection.close(),
  };
};

/** GET /v1/sessions/{id}/stream; each session has a connection. */
export const byWebSockets: OpenCaller = async (url, sessions) => {
  const connections = await Promise.all(sessions.map(({ session }) => openWebSocket(url, `/v1/sessions/${session}/stream`)));
  const frames = sessions.map(({ x }) => textFrame(JSON.stringify({ x: [[...x]] })));
  return {
    async step(k) {
      const answer = await connections[k]!.call(frames[k]!);
      if (answer.includes('"error"')) throw unexpected(answer);
    },
    close: () => connections.forEach((connection) => connection.close()),
  };
};

/** @param path of the WebSocket; its first message is received */
export async function openWebSocket(url: string, path: string): Promise<MessageConnection> {
  const connection = await MessageConnection.open(url);
  const handshake =
    `GET ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\n` +
    'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n' +
    `sec-websocket-key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`;
  const answer = await connection.call(Buffer.from(handshake));
  if (readResponseHead(answer)?.status !== 101) throw unexpected(answer);
  connection.lengthOf = frameLength;
  // The first frame describes the session; it answers no frame of ours.
  await connection.receive();
  return connection;
}

/** A final text frame with a 16-bit length, masked with zeros (RFC 6455, section 5.2). */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = 0x81;
  header[1] = 0x80 | 126;
  header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}
