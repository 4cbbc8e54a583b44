// A real nginx with our template in front of a real server: what the gateway adds must not change
// an answer, repeat a request or speak another language when it answers by itself.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../../src/config.ts';
import { type Gateway, TEMPLATE as template, startGateway } from '../helpers/gateway.ts';
import { sized } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { type RunningServer, startQuickly } from '../helpers/process.ts';
import { StreamClient } from '../helpers/stream-client.ts';

const MiB = 1024 * 1024;
const docker = join(import.meta.dirname, '../../docker');
const compose = readFileSync(join(docker, 'compose.yaml'), 'utf8');

const step = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: '{"weights":{"W_x":[[0.5,-0.25]],"W_h":[[0.1,0.2],[-0.3,0.4]]},"x":[[1],[3]]}',
};

describe("the gateway's settings", () => {
  const defaults = readConfig({});
  const numberIn = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1]);

  test('the settings follow the defaults of the service', () => {
    const bodyMiB = numberIn(template, /client_max_body_size (\d+)m;/);
    expect(bodyMiB * MiB).toBe(defaults.BODY_BYTES_MAX);
    const idle_s = numberIn(template, /keepalive_timeout (\d+)s;/);
    expect(idle_s * 1000).toBeLessThan(defaults.KEEP_ALIVE_TIMEOUT_MS);
    const answer_s = numberIn(template, /proxy_read_timeout (\d+)s;/);
    expect(answer_s * 1000).toBeGreaterThan(defaults.JOB_DEADLINE_MS);
    const grace_s = numberIn(compose, /stop_grace_period: (\d+)s/);
    expect(grace_s * 1000).toBeGreaterThan(defaults.SHUTDOWN_TIMEOUT_MS);
  });

  /** The image finds the resolvers itself if it is told to. */
  const settingOf = (name: string | undefined) =>
    name === 'NGINX_LOCAL_RESOLVERS' ? 'NGINX_ENTRYPOINT_LOCAL_RESOLVERS' : name;

  test('the service starts with the settings of compose.yaml, in the image', () => {
    const { environment } = parse(compose).services.carryover as { environment: Record<string, string | number> };
    // As compose substitutes them where the variable is not set.
    const values = Object.entries(environment).map(([name, value]) => [name, String(value).replace(/^\$\{\w+:-(.*)\}$/, '$1')]);
    const config = readConfig({ HOST: '0.0.0.0', ...Object.fromEntries(values) });
    expect(Object.keys(environment).filter((name) => !Object.hasOwn(config, name))).toEqual([]);
    expect(config.DRAIN_DELAY_MS).toBeGreaterThan(0);
  });

  test('the settings that the template leaves open are given in compose.yaml', () => {
    const variables = [...template.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => name);
    expect(variables.length).toBeGreaterThan(0);
    expect(variables.filter((name) => !compose.includes(`      ${settingOf(name)}: `))).toEqual([]);
  });
});

describeWith('nginx', 'requests through the gateway', () => {
  let server: RunningServer;
  let gateway: Gateway;

  beforeAll(async () => {
    server = await startQuickly();
    gateway = await startGateway([server.port]);
  });

  afterAll(async () => {
    await gateway?.stop();
    await server?.stop();
  });

  test('a step through the gateway gives the same bytes as without it', async () => {
    const direct = await fetch(`${server.url}/v1/step`, step);
    const proxied = await fetch(`${gateway.url}/v1/step`, step);
    expect(proxied.status).toBe(200);
    expect(proxied.headers.get('content-type')).toBe(direct.headers.get('content-type'));
    expect(await proxied.bytes()).toEqual(await direct.bytes());
  });

  test('a problem of the service is passed unchanged', async () => {
    const response = await fetch(`${gateway.url}/v1/step`, { ...step, body: '{' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'malformed_json' });
  });

  test('a WebSocket is passed', async () => {
    const headers = { 'content-type': 'application/json' };
    const body = '{"model":"sunspots"}';
    const created = await fetch(`${gateway.url}/v1/sessions`, { method: 'POST', headers, body });
    const { id } = (await created.json()) as { id: string };
    const address = `${gateway.url}/v1/sessions/${id}/stream`;
    expect((await fetch(address)).status).toBe(426);
    const { client, greeting } = await StreamClient.connect(address.replace('http', 'ws'));
    expect(greeting.session).toMatchObject({ id, t: 0 });
    expect((await client.ask({ x: [[0.5]], id: 1 })).session.t).toBe(1);
    await client.close();
  });

  test("the request id of the client is passed, a harmful one is replaced", async () => {
    const idFor = async (id: string) => {
      const headers = { ...step.headers, 'x-request-id': id };
      const response = await fetch(`${gateway.url}/v1/step`, { ...step, headers });
      return response.headers.get('x-request-id');
    };
    expect(await idFor('order-7:retry.2')).toBe('order-7:retry.2');
    expect(await idFor('"},{"')).toMatch(/^[0-9a-f]{32}$/);
  });

  test('requests in a row succeed', async () => {
    for (let count = 0; count < sized({ short: 50, long: 200 }); count += 1) {
      const response = await fetch(`${gateway.url}/v1/step`, step);
      await response.bytes();
      expect(response.status).toBe(200);
    }
  });

  test('a body of the limit reaches the service, one byte more is answered 413', async () => {
    const post = (bytes: number) => {
      const headers = { ...step.headers, 'x-request-id': 'large' };
      return fetch(`${gateway.url}/v1/step`, { ...step, headers, body: Buffer.alloc(bytes, ' ') });
    };
    const allowed = await post(32 * MiB);
    expect(await allowed.json()).toMatchObject({ status: 400, code: 'malformed_json' });

    const refused = await post(32 * MiB + 1);
    expect(refused.status).toBe(413);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(await refused.json()).toEqual({
      type: '/problems#body_too_large',
      title: 'The body is too large',
      status: 413,
      detail: 'The gateway takes bodies up to 32 MiB.',
      instance: 'large',
      code: 'body_too_large',
      errors: [],
    });
  });

  // The last one: the server does not come back.
  test('a service that was killed is answered as a 502 problem', async () => {
    server.process.kill('SIGKILL');
    await once(server.process, 'exit');
    const response = await fetch(`${gateway.url}/v1/step`, step);
    expect(response.status).toBe(502);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    const problem = await response.json();
    expect(problem).toMatchObject({ status: 502, code: 'bad_gateway', errors: [] });
    expect(problem.instance).toBe(response.headers.get('x-request-id'));
  });
});

describeWith('nginx', 'connections from the gateway to the service', () => {
  let upstream: Server;
  let gateway: Gateway;
  let connectionCount = 0;
  let brokenMethods: (string | undefined)[] = [];
  let forwardedFor: string | string[] | undefined;

  beforeAll(async () => {
    // Answers everything but /break, where it hangs up as a crashing service does.
    upstream = createServer((request, response) => {
      forwardedFor = request.headers['x-forwarded-for'];
      request.resume().once('end', () => {
        if (request.url !== '/break') return response.end();
        brokenMethods.push(request.method);
        return request.socket.destroy();
      });
    });
    upstream.on('connection', () => {
      connectionCount += 1;
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    gateway = await startGateway([(upstream.address() as { port: number }).port]);
  });

  afterAll(async () => {
    await gateway?.stop();
    upstream.closeAllConnections();
    upstream.close();
  });

  test('the gateway keeps its connection to the service', async () => {
    await fetch(gateway.url);
    const before = connectionCount;
    for (let count = 0; count < 10; count += 1) await fetch(gateway.url, step);
    expect(connectionCount).toBe(before);
  });

  test('the service is told the address of the client, behind what the client says itself', async () => {
    await fetch(gateway.url, { headers: { 'x-forwarded-for': '192.0.2.1' } });
    expect(forwardedFor).toBe('192.0.2.1, 127.0.0.1');
    await fetch(`${gateway.url}/v1/sessions/x/stream`);
    expect(forwardedFor).toBe('127.0.0.1');
  });

  test('the gateway sends a POST once, even if the connection breaks', async () => {
    const statusOfBreak = async (method: string, headers: Record<string, string> = {}) => {
      // A kept connection is the tempting case: it may have been closed just before.
      await fetch(gateway.url);
      brokenMethods = [];
      return (await fetch(`${gateway.url}/break`, { method, headers })).status;
    };
    expect(await statusOfBreak('POST')).toBe(502);
    expect(brokenMethods).toEqual(['POST']);
    // With a key it counts once, so it is sent again.
    expect(await statusOfBreak('POST', { 'idempotency-key': 'k' })).toBe(502);
    expect(brokenMethods).toEqual(['POST', 'POST']);
    // The control: a GET is sent again, so a repeated POST would have been seen.
    expect(await statusOfBreak('GET')).toBe(502);
    expect(brokenMethods).toEqual(['GET', 'GET']);
  });
});
