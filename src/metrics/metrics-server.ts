// GET /metrics on a port of its own: what it says is for operators, and the port of the service is for clients.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

// Why it is not imported: see http/http.ts.
const { createServer } = process.getBuiltinModule('node:http');

export interface PrintedMetrics {
  readonly contentType: string;
  print(): Promise<string>;
}

const PATH = '/metrics';
const METHODS = ['GET', 'HEAD'];
/** Of a scraper, and some people with curl. */
const CONNECTIONS_MAX = 32;
const REQUEST_MS_MAX = 5_000;
const HEAD_BYTES_MAX = 8 * 1_024;

export class MetricsServer {
  readonly #server: Server;

  constructor(metrics: PrintedMetrics) {
    const options = {
      headersTimeout: REQUEST_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      maxHeaderSize: HEAD_BYTES_MAX,
    };
    this.#server = createServer(options, (request, response) => {
      answer(metrics, request, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy();
        else send(response, 500, `The metrics could not be read: ${(error as Error).message}\n`);
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
}

async function answer(metrics: PrintedMetrics, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = '', url = '' } = request;
  // A body would be no use: it is not read, and its connection is not used again.
  if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) {
    response.setHeader('connection', 'close');
  }
  if (url.split('?', 1)[0] !== PATH) return send(response, 404, `Only ${PATH} is served here.\n`);
  if (!METHODS.includes(method)) {
    response.setHeader('allow', METHODS.join(', '));
    return send(response, 405, `Only ${METHODS.join(' and ')} are answered here.\n`);
  }
  const text = await metrics.print();
  send(response, 200, text, metrics.contentType);
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
