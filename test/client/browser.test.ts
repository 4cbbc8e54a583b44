// The client in a page of another origin than the service, with a key: as modules that a browser loads.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeKeys } from '../helpers/access.ts';
import { describeWith } from '../helpers/needs.ts';
import { openPage, startBrowser } from '../helpers/page.ts';
import { startService } from './service.ts';

const build = join(import.meta.dirname, '../../src/build');

/** Runs in the page. @returns what it has done, and over how many WebSockets */
async function advance([url, apiKey]: readonly [url: string, apiKey: string]) {
  let sockets = 0;
  class Noted extends WebSocket {
    constructor(address: string | URL, protocols?: string | string[]) {
      super(address, protocols);
      this.addEventListener('open', () => sockets++);
    }
  }
  const { Carryover } = (globalThis as unknown as { client: typeof import('../../src/client/index.ts') }).client;
  const carryover = new Carryover(url, { apiKey, WebSocket: Noted });
  await carryover.waitUntilReady();
  const session = await carryover.sessions.create({ model: 'sunspots' });
  const { y: first } = await session.step([[0.58]]);
  const ys = [first!.at(0, 0)];
  for await (const { y } of session.stream([[[0.61]], [[0.55]]])) ys.push(y!.at(0, 0));
  const streamed: number[] = [];
  for await (const { t } of carryover.streamSequence({ model: 'sunspots', x: [[[0.58]], [[0.61]]] })) streamed.push(t);
  const { code, applied } = (await session.step([[1, 2]]).catch((error: unknown) => error)) as { code: string; applied: string };
  await session.delete();
  return { ys: ys.map((y) => y.toFixed(6)), t: session.t, streamed, code, applied, sockets };
}

describeWith('chromium', 'in a browser', () => {
  const keys = makeKeys();
  const apiKey = keys.add('a');
  const { createServer } = process.getBuiltinModule('node:http');
  /** Has the modules of the client, and a page with none of them. */
  const other = createServer(({ url }, response) => {
    const isModule = url!.endsWith('.js');
    response.setHeader('content-type', isModule ? 'text/javascript' : 'text/html');
    response.end(isModule ? readFileSync(join(build, url!)) : '<!doctype html><link rel="icon" href="data:,"><main><h1>Other</h1></main>');
  });
  let browser: Browser;
  let otherUrl: string;
  beforeAll(async () => {
    await once(other.listen(0, '127.0.0.1'), 'listening');
    otherUrl = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    browser = await startBrowser();
  });
  afterAll(() => {
    other.closeAllConnections();
    other.close();
  });

  test('a page whose origin the service does not allow is told soon', async () => {
    const { url } = await startService({ CORS_ORIGINS: 'https://another.example' });
    const { page } = await openPage(browser, otherUrl);
    await page.evaluate(`import('/client/index.js').then((client) => { globalThis.client = client; })`);
    const failed = await page.evaluate(async (address) => {
      const { Carryover } = (globalThis as unknown as { client: typeof import('../../src/client/index.ts') }).client;
      const startMs = performance.now();
      const error = await new Carryover(address).sessions.create({ model: 'sunspots' }).catch((thrown: unknown) => thrown as Error);
      return { ms: performance.now() - startMs, code: (error as { code?: string }).code, message: (error as Error).message };
    }, url);
    expect(failed.code).toBe('unreachable');
    expect(failed.message).toContain(`pages of ${otherUrl}: that has to be in CORS_ORIGINS of the service.`);
    expect(failed.ms).toBeLessThan(20_000);
  });

  test('a page steps, and streams over a WebSocket', async () => {
    const { url } = await startService({ API_KEYS_FILE: keys.path, CORS_ORIGINS: otherUrl });
    const { page } = await openPage(browser, otherUrl);
    // As text: vitest would put an import of its own in place of this one.
    await page.evaluate(`import('/client/index.js').then((client) => { globalThis.client = client; })`);
    expect(await page.evaluate(advance, [url, apiKey] as const)).toEqual({
      ys: ['0.698812', '0.802090', '0.693218'],
      t: 3,
      streamed: [1, 2, 2],
      code: 'shape_mismatch',
      applied: 'no',
      sockets: 1,
    });
  });
});
