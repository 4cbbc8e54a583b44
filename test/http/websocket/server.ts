// A service with sessions and WebSockets, for the tests of this folder.
import { once } from 'node:events';
import { type Socket, connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { AppOverrides } from '../../../src/app.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { type TestApp, buildApp } from '../../helpers/app.ts';
import { writeSafetensors } from '../../helpers/safetensors.ts';
import { StreamClient } from '../../helpers/stream-client.ts';

/** The limits with which most tests of this folder run. */
export const LIMITS = { BODY_BYTES_MAX: '100000', REQUEST_TIMEOUT_MS: '1000' };

/** D = 1, H = 2. */
export const TINY = { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] };

/** Can delay its commits, so that a connection can be lost during one. */
export class SlowStore extends MemoryStore {
  delayMs = 0;

  override async change(...args: Parameters<MemoryStore['change']>): Promise<string | undefined> {
    if (this.delayMs > 0) await sleep(this.delayMs);
    const changed = await super.change(...args);
    if (this.delayMs > 0) await sleep(this.delayMs);
    return changed;
  }
}

export interface Server {
  readonly app: TestApp;
  readonly port: number;
  create(body?: object): Promise<string>;
  streamUrl(id: string): string;
  connect(id: string, options?: object): ReturnType<typeof StreamClient.connect>;
  read(id: string): Promise<any>;
}

/** A service that listens, for the duration of the test file. */
export async function listen(
  environment: Record<string, string> = {},
  overrides: AppOverrides = {},
): Promise<Server> {
  const app = await buildApp(environment, overrides);
  await app.http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.http.server.address() as { port: number };
  const streamUrl = (id: string) => `ws://127.0.0.1:${port}/v1/sessions/${id}/stream`;
  return {
    app,
    port,
    streamUrl,
    create: async (body = {}) => {
      const response = await app.post('/v1/sessions', { weights: TINY, ...body });
      expect(response.status).toBe(201);
      return response.body.id;
    },
    connect: (id, options) => StreamClient.connect(streamUrl(id), options),
    read: async (id) => (await app.http.inject(`/v1/sessions/${id}`)).json(),
  };
}

/** Sends bytes as they are; resolves with what is received until the connection is closed or upgraded. */
export async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1');
  socket.write(bytes);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
    if (text.startsWith('HTTP/1.1 101')) socket.destroy();
  });
  await Promise.race([once(socket, 'close'), sleep(3_000)]);
  socket.destroy();
  return text;
}

/** The head of a handshake. */
export const handshake = (path: string, headers: Record<string, string> = {}) =>
  `GET ${path} HTTP/1.1\r\n${Object.entries({
    host: 'localhost',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    ...headers,
  })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

/** Parses the text of a response. */
export const problemOf = (text: string) => ({
  status: Number(text.split(' ')[1]),
  headers: text.split('\r\n\r\n')[0]!.toLowerCase(),
  body: JSON.parse(text.split('\r\n\r\n')[1] || 'null'),
});

/** The JSON body of a step or sequence as a safetensors file. */
export function fileOf({ x, ...fields }: any, more: Record<string, string> = {}): Buffer {
  const shape: number[] = [];
  for (let inner = x; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  const metadata = Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, String(value)]),
  );
  const data = Float32Array.from(x.flat(3));
  return Buffer.from(writeSafetensors({ x: { shape, data } }, { ...metadata, ...more }));
}

/** The connection beneath the client library. */
export function rawSocketOf({ socket }: StreamClient): Socket {
  const { _socket: raw } = socket as unknown as { _socket: Socket };
  return raw;
}

/** A masked frame with a key of zeros, which leaves the payload as it is. */
export function frameBytes(first: number, payload: Buffer, declared = payload.length): Buffer {
  const header = Buffer.alloc(14);
  header[0] = first;
  header[1] = 0xff;
  header.writeBigUInt64BE(BigInt(declared), 2);
  return Buffer.concat([header, payload]);
}
