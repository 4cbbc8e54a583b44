// The service behind a path of nginx, with the lines that docker/README.md gives, in a browser.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { type TestService, startService } from '../client/service.ts';
import { type Gateway, startGateway } from '../helpers/gateway.ts';
import { sample } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { startBrowser } from '../helpers/page.ts';
import { freePort } from '../helpers/process.ts';

const page = readFileSync(join(import.meta.dirname, '../../docker/README.md'), 'utf8');
const location = /^ {4}location \/ml\/rnn\/ \{\n[^]*?^ {4}\}\n/m.exec(page)![0];

/** Each with one of the addresses at which the documentation is opened, and where the browser is then. */
const FORMS = [
  ['that keeps the path', location, '/ml/rnn/docs', '/ml/rnn/docs'],
  ['that strips it', location.replace('http://carryover;', 'http://carryover/;'), '/ml/rnn/docs/static/index.html', '/ml/rnn/docs/'],
] as const;

describeWith(['nginx', 'chromium'], 'behind a path', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await startBrowser();
  });

  test.each(sample(FORMS, 1))('of a gateway %s, the documentation and all addresses work', async (_, form, address, shown) => {
    const port = await freePort();
    const server = await startService({ PUBLIC_URL: `http://127.0.0.1:${port}/ml/rnn` });
    const gateway = await startGateway([server.port], (configuration) => configuration.replace('  location / {', `${form}\n  location / {`), port);
    const problems: string[] = [];
    const opened = await openPage(browser, gateway.url + address, problems);
    expect(opened.url()).toBe(gateway.url + shown);
    const text = await stepInDocs(opened);
    expect(text).toContain(`${gateway.url}/ml/rnn/v1/step`);
    expect(text).toContain('"h"');
    expect(problems).toEqual([]);
    await expectAddresses(opened, gateway, server);
    await opened.close();
    await gateway.stop();
  });
});

async function openPage(browser: Browser, url: string, problems: string[]): Promise<Page> {
  const opened = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
  opened.on('pageerror', (error) => problems.push(String(error)));
  opened.on('console', (message) => {
    if (message.type() === 'error') problems.push(`${message.text()} ${message.location().url}`);
  });
  await opened.goto(url);
  return opened;
}

/** "Try it out" on a step; what the page shows of it. */
async function stepInDocs(opened: Page): Promise<string> {
  const block = opened.locator('#operations-compute-step');
  await block.locator('.opblock-summary-control').click();
  await block.locator('button.execute').click();
  await block.locator('.live-responses-table .response .response-col_status', { hasText: '200' }).waitFor();
  return block.locator('.responses-wrapper').first().innerText();
}

/** Follows, in the page, what a client follows. */
async function expectAddresses(opened: Page, gateway: Gateway, server: TestService): Promise<void> {
  const followed = await opened.evaluate(async () => {
    const index = (await (await fetch('/ml/rnn/')).json()) as Record<string, string>;
    const links = ['docs', 'openapi', 'errors', 'health'].map((name) => index[name]!);
    const statuses = await Promise.all(links.map(async (link) => (await fetch(link)).status));
    const unknown = await fetch('/ml/rnn/v1/nothing');
    const { type } = (await unknown.json()) as { type: string };
    const explained = await fetch(type);
    const body = '{"model":"sunspots"}';
    const created = await fetch('/ml/rnn/v1/sessions', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const address = created.headers.get('location')!;
    const session = await fetch(address);
    const socket = new WebSocket(`${address}/stream`);
    const first = await new Promise<string>((resolve, reject) => {
      socket.addEventListener('message', ({ data }) => resolve(String(data)));
      socket.addEventListener('error', () => reject(new Error('no WebSocket')));
    });
    socket.close();
    return { statuses, type, explained: explained.status, address, session: session.status, first };
  });
  expect(followed).toEqual({
    statuses: [200, 200, 200, 200],
    type: `${gateway.url}/ml/rnn/problems#not_found`,
    explained: 200,
    address: expect.stringMatching(/^\/ml\/rnn\/v1\/sessions\//),
    session: 200,
    first: expect.stringContaining('"t":0'),
  });
  // Probes do not pass through the gateway.
  expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
}
