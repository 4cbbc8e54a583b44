// A client that speaks bytes: for what no HTTP library would send, or leave unread.
import { type Socket, connect } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { closeAtEnd } from './cleanup.ts';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

export class RawClient {
  readonly socket: Socket;
  /** Everything received so far. */
  text = '';
  #isClosed = false;

  /**
   * @param reads whether the answer is read; otherwise it stays in the systems' buffers
   * @param tls given for a server of HTTPS
   */
  constructor(port: number, bytes = '', reads = true, tls?: ConnectionOptions) {
    const address = { port, host: '127.0.0.1', allowHalfOpen: true };
    this.socket = tls ? connectTls({ ...address, ...tls }) : connect(address);
    const forget = closeAtEnd(() => this.socket.destroy());
    this.socket.on('error', () => {});
    this.socket.once('close', () => {
      this.#isClosed = true;
      forget();
    });
    // The server's end of sending is the end for a test.
    this.socket.once('end', () => {
      this.#isClosed = true;
    });
    if (reads) this.socket.on('data', (chunk) => (this.text += chunk.toString('latin1')));
    else this.socket.pause();
    if (bytes) this.socket.write(bytes);
  }

  send(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether the server has closed within `ms`. */
  closedWithin(ms: number): Promise<boolean> {
    return until(() => this.#isClosed, ms);
  }

  /** Whole answers so far, in their order. */
  get answers(): RawAnswer[] {
    const answers: RawAnswer[] = [];
    for (let rest = this.text; ; ) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) return answers;
      const [statusLine, ...lines] = rest.slice(0, end).split('\r\n');
      const headers = Object.fromEntries(
        lines.map((line) => [line.split(':')[0]!.toLowerCase(), line.slice(line.indexOf(':') + 2)]),
      );
      const bytes = Number(headers['content-length'] ?? 0);
      const body = rest.slice(end + 4, end + 4 + bytes);
      if (body.length < bytes) return answers;
      answers.push({ status: Number(statusLine!.split(' ')[1]), headers, body });
      rest = rest.slice(end + 4 + bytes);
    }
  }

  /** @throws Error if it does not come within `ms` */
  async answer(index = 0, ms = 30_000): Promise<RawAnswer> {
    await until(() => this.answers.length > index || this.#isClosed, ms);
    const response = this.answers[index];
    if (!response) throw new Error(`no answer ${index} in ${JSON.stringify(this.text.slice(0, 500))}`);
    return response;
  }
}

/** Whether it became true within `ms`. */
export async function until(isTrue: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  const endMs = performance.now() + ms;
  while (!(await isTrue())) {
    if (performance.now() > endMs) return false;
    await sleep(5);
  }
  return true;
}

/** As until(). @throws Error if it is not true in time: a wait that goes unnoticed takes long, and proves nothing */
export async function eventually(isTrue: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  if (!(await until(isTrue, ms))) throw new Error(`not true within ${ms} ms: ${isTrue.toString()}`);
}
