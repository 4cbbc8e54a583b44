// A WebSocket client for tests: keeps what it receives, in order, until it is asked for.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientOptions, WebSocket } from 'ws';
import { closeAtEnd } from './cleanup.ts';

export type Message = string | Buffer;

export interface Closed {
  readonly code: number;
}

export class StreamClient {
  readonly socket: WebSocket;
  readonly closed: Promise<Closed>;
  readonly #received: Message[] = [];
  #wake = () => {};
  #code: number | undefined;

  constructor(url: string, options: ClientOptions = {}) {
    this.socket = new WebSocket(url, options);
    const forget = closeAtEnd(() => this.socket.terminate());
    this.socket.on('message', (data, isBinary) => {
      const bytes = data as Buffer;
      this.#received.push(isBinary ? bytes : bytes.toString());
      this.#wake();
    });
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code) => {
        this.#code = code;
        forget();
        this.#wake();
        resolve({ code });
      });
    });
  }

  /** Resolves when connected and the greeting is received, or rejects if the connection is lost before. */
  static async connect(url: string, options?: ClientOptions) {
    const client = new StreamClient(url, options);
    await Promise.race([once(client.socket, 'open'), client.closed]);
    const greeting = await client.next();
    return { client, greeting: JSON.parse(String(greeting)) };
  }

  /** Without waiting for anything. */
  send(message: object | string | Buffer): void {
    const isReady = typeof message === 'string' || Buffer.isBuffer(message);
    const data = isReady ? message : JSON.stringify(message);
    this.socket.send(data, { binary: Buffer.isBuffer(data) }, () => {});
  }

  async ask(message: object | string | Buffer): Promise<any> {
    this.send(message);
    return this.nextJson();
  }

  /** @throws Error if the connection is closed before */
  async next(): Promise<Message> {
    while (this.#received.length === 0) {
      if (this.#code !== undefined) throw new Error(`closed with ${this.#code}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#received.shift()!;
  }

  async nextJson(): Promise<any> {
    return JSON.parse(String(await this.next()));
  }

  get receivedCount(): number {
    return this.#received.length;
  }

  async close(): Promise<void> {
    this.socket.close();
    await Promise.race([this.closed, sleep(5_000)]);
  }
}
