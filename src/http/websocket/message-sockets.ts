// The open WebSockets: pings, timeouts and shutdown.
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from '@fastify/websocket';
import { MessageSocket, type MessageSocketOptions } from './message-socket.ts';

/** From our Close frame until the connection is terminated: one and a half slow round trips. */
export const CLOSE_MS_MAX = 2_000;
/** Gateways close a connection without traffic; nginx and most others after 60 s. */
const PING_MS_MAX = 25_000;
/** Between two checks whether messages are complete in time, and whether keys are still good. */
const CHECK_MS_MAX = 1_000;

/** The open WebSockets. */
export class MessageSockets {
  readonly #open = new Set<MessageSocket>();
  readonly #pinging: NodeJS.Timeout;
  readonly #checking: NodeJS.Timeout;
  #isShuttingDown = false;
  #whenEmpty: (() => void) | undefined;

  /**
   * @param silenceMsMax after which a connection is terminated whose peer neither sends nor reads
   * @param messageMsMax from the first byte of a message to its last
   */
  constructor(silenceMsMax: number, messageMsMax: number) {
    this.#pinging = this.#pingEvery(Math.min(PING_MS_MAX, silenceMsMax / 3), silenceMsMax);
    const checkMs = Math.min(CHECK_MS_MAX, messageMsMax / 4);
    const check = () => this.#forEach((socket) => socket.check(messageMsMax));
    this.#checking = setInterval(check, checkMs).unref();
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size;
  }

  /** Serves the WebSocket of an upgraded `request` until it is closed. */
  add(socket: WebSocket, request: IncomingMessage, options: MessageSocketOptions): MessageSocket {
    const messageSocket = new MessageSocket(socket, request.socket, options);
    this.#open.add(messageSocket);
    socket.once('close', () => {
      this.#open.delete(messageSocket);
      if (this.#open.size === 0) this.#whenEmpty?.();
    });
    if (this.#isShuttingDown) messageSocket.shutDown();
    return messageSocket;
  }

  /** Closes all of them, once the messages that wait are answered. Resolves when all are closed. */
  async shutDown(): Promise<void> {
    this.#isShuttingDown = true;
    clearInterval(this.#pinging);
    clearInterval(this.#checking);
    this.#forEach((socket) => socket.shutDown());
    if (this.#open.size === 0) return;
    const pinging = this.#pingEvery(CLOSE_MS_MAX / 2, CLOSE_MS_MAX);
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    clearInterval(pinging);
  }

  #pingEvery(ms: number, silenceMsMax: number): NodeJS.Timeout {
    return setInterval(() => this.#forEach((socket) => socket.ping(silenceMsMax)), ms).unref();
  }

  #forEach(act: (socket: MessageSocket) => void): void {
    for (const socket of Array.from(this.#open)) act(socket);
  }
}
