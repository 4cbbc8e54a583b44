// A client with one connection that never retries: a broken connection is an error, and the test decides
// whether to repeat the call.
import { Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly bytes: Buffer;
}

export interface Sent {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  /** JSON */
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A body of another type, which the headers name. */
export interface SentBytes extends Omit<Sent, 'body'> {
  readonly body: string | Uint8Array;
}

/** Longer than any call in these tests takes: one that is not answered by then is taken to hang. */
const ANSWER_MS_MAX = 20_000;

export class Client {
  readonly port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(port: number) {
    this.port = port;
  }

  /** @throws Error if the connection breaks before the answer is complete, or `signal` aborts */
  send({ method, path, body, headers }: Sent | SentBytes, signal?: AbortSignal): Promise<Answer> {
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
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const bytes = Buffer.concat(chunks);
          resolve({ status: response.statusCode!, headers: response.headers, body: bytes.toString(), bytes });
        });
      },
    );
    sent.once('timeout', () => sent.destroy(new Error(`no answer in ${ANSWER_MS_MAX} ms`)));
    // A connection that breaks during the answer is an error of the request and of the answer.
    sent.on('error', reject);
    sent.end(body);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}
