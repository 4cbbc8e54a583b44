// A client with one connection, as plain as can be: a request is sent once, and a broken connection
// is an error that the caller sees. Who retries, and how, is the test's business.
import { Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Sent {
  readonly method: string;
  readonly path: string;
  /** JSON */
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Longer than anything in these tests takes: a call that is not answered by then hangs. */
const ANSWER_MS_MAX = 20_000;

export class Client {
  readonly port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(port: number) {
    this.port = port;
  }

  /** @throws Error if the connection breaks before the whole answer is there, or `signal` aborts */
  send({ method, path, body, headers }: Sent, signal?: AbortSignal): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const sent = request(
      {
        host: '127.0.0.1',
        port: this.port,
        agent: this.#agent,
        timeout: ANSWER_MS_MAX,
        method,
        path,
        headers: {
          ...(body !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
          ...headers,
        },
        ...(signal && { signal }),
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('error', reject);
        answer.once('end', () =>
          resolve({
            status: answer.statusCode!,
            headers: answer.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    sent.once('timeout', () => sent.destroy(new Error(`no answer in ${ANSWER_MS_MAX} ms`)));
    // A connection that breaks in the middle of an answer ends in an error of both.
    sent.on('error', reject);
    sent.end(body);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}
