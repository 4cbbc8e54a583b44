// GET /metrics and POST /backup on a port of their own: they are for operators, and the port of the service is for clients.
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import { CarryoverError } from '../errors.ts';

// Why it is not imported: see http/http.ts.
const { createServer } = process.getBuiltinModule('node:http');

export interface PrintedMetrics {
  readonly contentType: string;
  print(): Promise<string>;
}

/**
 * Makes a backup, or says why not.
 *
 * @throws CarryoverError if who asks may not have one
 */
export type MakeBackup = (headers: IncomingHttpHeaders) => Promise<{ readonly status: number; readonly body: object }>;

interface Route {
  readonly methods: readonly string[];
  readonly answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
}

/** Of a scraper, and some people with curl. */
const CONNECTIONS_MAX = 32;
const REQUEST_MS_MAX = 5_000;
const HEAD_BYTES_MAX = 8 * 1_024;

export class MetricsServer {
  readonly #server: Server;

  readonly #routes: Readonly<Record<string, Route>>;
  /** Undefined before the service can make any. */
  makeBackup: MakeBackup | undefined;

  constructor(metrics: PrintedMetrics) {
    this.#routes = {
      '/metrics': {
        methods: ['GET', 'HEAD'],
        answer: async (_, response) => send(response, 200, await metrics.print(), metrics.contentType),
      },
      '/backup': { methods: ['POST'], answer: (request, response) => this.#backUp(request, response) },
    };
    const options = {
      headersTimeout: REQUEST_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      maxHeaderSize: HEAD_BYTES_MAX,
    };
    this.#server = createServer(options, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy();
        else send(response, 500, `${request.url} failed: ${(error as Error).message}\n`);
      });
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** @throws the system's error, as EADDRINUSE */
  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** Stops listening and closes all connections. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    // A body would be no use: it is not read, and its connection is not used again.
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) {
      response.setHeader('connection', 'close');
    }
    const path = url.split('?', 1)[0]!;
    const route = Object.hasOwn(this.#routes, path) ? this.#routes[path] : undefined;
    if (!route) return send(response, 404, `Only ${Object.keys(this.#routes).join(' and ')} are served here.\n`);
    if (route.methods.includes(method)) return route.answer(request, response);
    response.setHeader('allow', route.methods.join(', '));
    return send(response, 405, `${path} answers only ${route.methods.join(' and ')}.\n`);
  }

  async #backUp({ headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page in the browser of an operator can send a POST here, but not without this header.
    if (headers.origin !== undefined) return send(response, 403, 'Backups are not for pages in a browser.\n');
    if (!this.makeBackup) return send(response, 503, 'The service is being started.\n');
    const { status, body } = await this.makeBackup(headers).catch(refusalOf);
    send(response, status, `${JSON.stringify(body)}\n`, 'application/json; charset=utf-8');
  }
}

/** The answer to a call without the right key. Any other error is thrown again. */
function refusalOf(error: unknown) {
  if (!(error instanceof CarryoverError)) throw error;
  return { status: error.kind.status, body: { code: error.code, detail: error.message } };
}

function send(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(text);
}
