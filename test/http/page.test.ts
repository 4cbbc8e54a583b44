// GET / and the files that the page loads.
import { createHash } from 'node:crypto';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { makeKeys } from '../helpers/access.ts';
import { buildApp } from '../helpers/app.ts';

const HTML = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
/** Of the first load, all files together, as they are sent. */
const FIRST_LOAD_BYTES_MAX = 150_000;

const { http } = await buildApp();
const page = await http.inject({ url: '/', headers: HTML });
const addresses = [...page.body.matchAll(/(?:href|src)="(app\/[^"]*)"/g)].map(([, address]) => address!);

test('a program that asks for the root address gets links', async () => {
  const response = await http.inject('/');
  expect(response.statusCode).toBe(200);
  const links = Object.values<string>(response.json()).filter((value) => value.startsWith('/'));
  expect(links).toEqual(expect.arrayContaining(['/', '/docs', '/openapi.json', '/health/ready']));
  for (const link of links) expect((await http.inject(link)).statusCode, link).toBeLessThan(400);
  expect((await http.inject({ method: 'POST', url: '/' })).headers.allow).toBe('GET, HEAD');
  expect(response.headers.vary).toContain('accept');
});

test('a browser gets the page, which may load what is of this origin and nothing else', () => {
  expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
  const policy = String(page.headers['content-security-policy']);
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  expect(policy).toContain("script-src 'self';");
  expect(page.body).not.toMatch(/<script>|\sstyle=|\son\w+=|https?:/);
  expect(page.headers['cache-control']).toBe('no-cache');
});

test('of the styles that are in the page the policy allows these, letter by letter', () => {
  const [[, styles] = [], ...more] = page.body.matchAll(/<style>([^]*?)<\/style>/g);
  expect(more).toEqual([]);
  expect(styles).toContain('.bar{');
  expect(styles).not.toMatch(/url\(|@import|\/\*/);
  expect(page.headers['content-security-policy']).toContain(`;style-src 'self' 'sha256-${createHash('sha256').update(styles!).digest('base64')}';`);
});

test.each([
  ['br', brotliDecompressSync],
  ['gzip', gunzipSync],
] as const)('the page is compressed: %s', async (encoding, decompress) => {
  const compressed = await http.inject({ url: '/', headers: { ...HTML, 'accept-encoding': encoding } });
  expect([compressed.headers['content-encoding'], compressed.headers.vary]).toEqual([encoding, 'accept, accept-encoding']);
  expect(Number(compressed.headers['content-length'])).toBe(compressed.rawPayload.length);
  expect(compressed.rawPayload.length).toBeLessThan(page.rawPayload.length / 3);
  expect(String(decompress(compressed.rawPayload))).toBe(page.body);
});

test('all files of the page are there, compressed, for good, and small', async () => {
  const names = ['icon.svg', 'main.js'];
  const folder = addresses[0]!.replace('icon.svg', '');
  expect(addresses).toEqual(names.map((name) => folder + name));
  let bytes = page.rawPayload.length;
  // What the first view loads when it is shown.
  for (const address of [...addresses, ...['computed.js', 'shared.js', 'uplot.js'].map((name) => folder + name)]) {
    const file = await http.inject({ url: `/${address}`, headers: { 'accept-encoding': 'gzip, deflate, br' } });
    expect([address, file.statusCode, file.headers['content-encoding']]).toEqual([address, 200, 'br']);
    expect(file.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(file.headers['x-content-type-options']).toBe('nosniff');
    bytes += file.rawPayload.length;
  }
  expect(bytes).toBeLessThan(FIRST_LOAD_BYTES_MAX);
});

test('a client that accepts no compression gets the same file as it is', async () => {
  const url = `/${addresses.find((address) => address.endsWith('main.js'))!}`;
  const plain = await http.inject(url);
  expect(plain.headers['content-encoding']).toBeUndefined();
  expect(plain.headers['content-type']).toMatch(/^(text|application)\/javascript; charset=utf-8$/);
  expect(plain.body).not.toMatch(/^import |^\/\/ |: Page\b/m);
  const again = await http.inject({ url, headers: { 'if-none-match': String(plain.headers.etag) } });
  expect(again.statusCode).toBe(304);
});

test.each(['/nothing.js', '/', '', '/../index.html', '/../../server.ts', '/%2e%2e/%2e%2e/server.ts', '/..%2f..%2fserver.ts', '/pages/main.js.br/x', '/pages%00'])(
  'nothing else is served: %s',
  async (path) => {
    const response = await http.inject(`/${addresses[0]!.split('/').slice(0, 2).join('/')}${path}`);
    expect(response.statusCode).toBeGreaterThanOrEqual(400);
    expect(response.statusCode).toBeLessThan(500);
    expect(response.headers['content-type']).toContain('application/problem+json');
  },
);

describe('behind a path', async () => {
  const { http: behind } = await buildApp({ BASE_PATH: '/ml/rnn' });
  test.each(['/ml/rnn', '/ml/rnn/', '/'])('that the service knows, the page at %s loads its files', async (url) => {
    const { body } = await behind.inject({ url, headers: HTML });
    const [, script] = /<script type="module" blocking="render" src="([^"]*)"/.exec(body)!;
    expect(script).toMatch(/^\/ml\/rnn\/app\/[0-9a-f]{16}\/pages\/main\.js$/);
    const files = [...body.matchAll(/(?:href|src)="([^"]*\.(?:js|css|svg))"/g)].map(([, address]) => address!);
    expect(files).toHaveLength(2);
    for (const file of files) expect([file, (await behind.inject(file)).statusCode]).toEqual([file, 200]);
  });
});

test('where calls need a key the page does not: a person enters the key there', async () => {
  const keys = makeKeys();
  const { http: closed } = await buildApp({ API_KEYS_FILE: keys.path });
  expect((await closed.inject('/v1/models')).statusCode).toBe(401);
  expect((await closed.inject({ url: '/', headers: HTML })).body).toBe(page.body);
  expect((await closed.inject(`/${addresses[0]!}`)).statusCode).toBe(200);
});
