// A page that has one button and nothing else, with the headers of the page of the service: what a browser needs at least until
// a control answers.
import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const PAGE = '<!doctype html><html lang="en"><title>Empty</title><link rel="icon" href="data:,"><script type="module" blocking="render" src="app/empty.js"></script></html>';
const SCRIPT = `const button = document.createElement('button');
button.addEventListener('click', () => undefined);
document.body.className = 'transport';
document.body.append(button);
`;

export interface EmptyPage extends Disposable {
  readonly url: string;
}

/** @param like address of the page whose headers it has */
export async function serveEmptyPage(like: string): Promise<EmptyPage> {
  const response = await fetch(like, { headers: { accept: 'text/html', 'accept-encoding': 'identity' } });
  await response.body?.cancel();
  const headers = new Headers(response.headers);
  for (const name of ['connection', 'content-length', 'content-type', 'date', 'keep-alive']) headers.delete(name);
  const answer = ({ url }: IncomingMessage, response: ServerResponse) => {
    const isPage = url === '/';
    response.setHeaders(headers).setHeader('content-type', isPage ? 'text/html; charset=utf-8' : 'text/javascript; charset=utf-8');
    response.end(isPage ? PAGE : SCRIPT);
  };
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}/`, [Symbol.dispose]: close };
}
