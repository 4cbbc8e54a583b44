// Web pages of other origins, in a real browser: what a page may do that CORS_ORIGINS lists, and what another may not.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestService, startService } from '../client/service.ts';
import { describeWith } from '../helpers/needs.ts';
import { startBrowser } from '../helpers/page.ts';

const guide = readFileSync(join(import.meta.dirname, '../../openapi/README.md'), 'utf8');
const [, example, printed] = /^## Browsers\n[^]*?^```js\n([^]*?)^```\n\n```text\n([^]*?)^```\n/m.exec(guide)!;

describeWith('chromium', 'a web page', () => {
  /** Serves an empty page, by two names: two origins for a browser. */
  const site = createServer((_, response) => void response.setHeader('content-type', 'text/html').end('<!doctype html><title>A page</title>'));
  let server: TestService;
  let browser: Browser;
  let listed: Page;
  let other: Page;

  beforeAll(async () => {
    await once(site.listen(0, '127.0.0.1'), 'listening');
    const { port } = site.address() as AddressInfo;
    server = await startService({ CORS_ORIGINS: `http://127.0.0.1:${port}`, BODY_BYTES_MAX: '100000' });
    browser = await startBrowser();
    [listed, other] = [await browser.newPage(), await browser.newPage()];
    await Promise.all([listed.goto(`http://127.0.0.1:${port}`), other.goto(`http://localhost:${port}`)]);
  });
  afterAll(async () => {
    site.close();
  });

  test('that is listed runs the example of the guide', async () => {
    const lines: string[] = [];
    listed.on('console', (message) => {
      if (message.type() === 'log') lines.push(message.text());
    });
    const code = example!.replaceAll('http://127.0.0.1:8080', server.url);
    await listed.evaluate(`(async () => {${code}})()`);
    await expect.poll(() => lines.join('\n')).toBe(printed!.trimEnd());
  });

  /** What a script of the page gets; `no answer` where the browser shows it none. */
  const calls = (page: Page) =>
    page.evaluate(async (url) => {
      const json = { 'content-type': 'application/json', 'x-request-id': 'page' };
      const ask = async (path: string, init: RequestInit = {}) => {
        try {
          const response = await fetch(url + path, init);
          const text = await response.text();
          return [response.status, (/"code":"(\w+)"/.exec(text) ?? [])[1] ?? 'result', response.headers.get('x-request-id')];
        } catch {
          return 'no answer';
        }
      };
      const post = (path: string, body: string, headers = {}) => ask(path, { method: 'POST', body, headers: { ...json, ...headers } });
      const socketTo = (id: string) =>
        new Promise((resolve) => {
          const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/sessions/${id}/stream`);
          socket.addEventListener('message', () => resolve('open'));
          socket.addEventListener('error', () => resolve('refused'));
        });
      const session = await fetch(`${url}/v1/sessions`, { method: 'POST', body: '{"model":"sunspots"}', headers: json }).catch(() => undefined);
      const { id } = session ? ((await session.json()) as { id: string }) : { id: 'AAAAAAAAAAAAAAAAAAAAAA' };
      return {
        step: await post('/v1/step', '{"model":"sunspots","x":[[0.5]]}'),
        stream: await post('/v1/sequence', '{"model":"sunspots","x":[[[0.5]]]}', { accept: 'application/x-ndjson' }),
        unknown: await ask('/nowhere', { headers: json }),
        tooLarge: await post('/v1/step', ' '.repeat(1_000_000)),
        deleted: await ask(`/v1/sessions/${id}`, { method: 'DELETE', headers: { ...json, 'if-match': '"x"' } }),
        webSocket: await socketTo(id),
      };
    }, server.url);

  test('that is listed reads results, problems and their headers, and opens a WebSocket', async () => {
    expect(await calls(listed)).toEqual({
      step: [200, 'result', 'page'],
      stream: [200, 'result', 'page'],
      unknown: [404, 'not_found', 'page'],
      tooLarge: [413, 'body_too_large', 'page'],
      deleted: [412, 'step_conflict', 'page'],
      webSocket: 'open',
    });
  });

  test('that is not listed gets no answer at all', async () => {
    const nothing = 'no answer';
    expect(await calls(other)).toEqual({
      step: nothing,
      stream: nothing,
      unknown: nothing,
      tooLarge: nothing,
      deleted: nothing,
      webSocket: 'refused',
    });
  });
});
