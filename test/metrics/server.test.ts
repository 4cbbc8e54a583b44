// The port of the metrics: what it answers, and how it begins and ends with the process.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MetricsServer } from '../../src/metrics/metrics-server.ts';
import { buildApp } from '../helpers/app.ts';
import { freePort, spawnServer, startServer } from '../helpers/process.ts';
import { readMetrics } from '../helpers/prometheus.ts';

async function listening() {
  const app = await buildApp({ METRICS_PORT: '9464' });
  const port = await freePort();
  await app.metrics!.listen('127.0.0.1', port);
  return { app, url: `http://127.0.0.1:${port}` };
}

describe('the port of the metrics', async () => {
  const { app, url } = await listening();

  test('GET /metrics has every metric once, with its type and help', async () => {
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await response.text();
    const types = [...text.matchAll(/^# TYPE (\S+) (counter|gauge|histogram|summary)$/gm)].map(([, name]) => name!);
    const helps = [...text.matchAll(/^# HELP (\S+) .+$/gm)].map(([, name]) => name!);
    expect(types).toEqual(helps);
    expect(new Set(types).size).toBe(types.length);
    expect(readMetrics(text).length).toBeGreaterThan(100);
  });

  test('HEAD has the head alone, and query parameters change nothing', async () => {
    const head = await fetch(`${url}/metrics`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await fetch(`${url}/metrics?x=1`)).status).toBe(200);
  });

  test.each(['/', '/v1/step', '/metrics/', '/docs', '/health/live'])('%s: 404', async (path) => {
    const response = await fetch(url + path);
    expect([response.status, await response.text()]).toEqual([404, 'Only /metrics and /backup are served here.\n']);
  });

  test('another method: 405, and a body is not read', async () => {
    const response = await fetch(`${url}/metrics`, { method: 'POST', body: 'x' });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect(await response.text()).toBe('/metrics answers only GET and HEAD.\n');
  });

  test('the port of the service has no metrics', async () => {
    expect((await app.http.inject({ method: 'GET', url: '/metrics' })).statusCode).toBe(404);
  });
});

test('scrapes that come while one runs have its text', async () => {
  const app = await buildApp({ METRICS_PORT: '9464' });
  const texts = await Promise.all([1, 2, 3].map(() => app.metrics!.print()));
  expect(new Set(texts).size).toBe(1);
});

test('metrics that cannot be read are answered with 500', async () => {
  const server = new MetricsServer({ contentType: 'text/plain', print: () => Promise.reject(new Error('broken')) });
  const port = await freePort();
  await server.listen('127.0.0.1', port);
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect([response.status, await response.text()]).toEqual([500, '/metrics failed: broken\n']);
  await server.close();
});

describe('the process', () => {
  test('METRICS_PORT is served, and closed at the end; AUDIT_LOG is written', async () => {
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), 'carryover-metrics-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'audit.log');
    const server = await startServer({ METRICS_PORT: String(port), AUDIT_LOG: file });
    const body = JSON.stringify({ weights: { W_x: [[0.5]], W_h: [[0.8]] } });
    const headers = { 'content-type': 'application/json' };
    await (await fetch(`${server.url}/v1/sessions`, { method: 'POST', headers, body })).text();
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ action: 'session.create', client: '127.0.0.1' });
    const scrape = () => fetch(`http://127.0.0.1:${port}/metrics`);
    expect(await (await scrape()).text()).toContain('carryover_workers_ready 1\n');
    expect(await server.stop()).toBe(0);
    await expect(scrape()).rejects.toThrow();
  });

  test('a port in use is one line, and exit code 78', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const server = spawnServer({ METRICS_PORT: String(port) });
    const [code] = await once(server.process, 'exit');
    other.close();
    const lines = server.output().split('\n').filter((line) => line !== '');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^Cannot listen: .*EADDRINUSE.*Choose another with METRICS_HOST and METRICS_PORT\.$/);
    expect(code).toBe(78);
  });
});
