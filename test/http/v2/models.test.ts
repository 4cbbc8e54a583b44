// What /v2 says of the server and of models, to whom, and in which form errors come.
import { describe, expect, test } from 'vitest';
import { buildApp } from '../../helpers/app.ts';
import { makeKeys } from '../../helpers/access.ts';

const get = async (app: Awaited<ReturnType<typeof buildApp>>, url: string, headers: Record<string, string> = {}) => {
  const response = await app.http.inject({ url, headers });
  return { status: response.statusCode, type: response.headers['content-type'], body: response.json() };
};

describe('the server', async () => {
  const app = await buildApp();

  test('it says which extensions it has', async () => {
    const { status, type, body } = await get(app, '/v2');
    expect([status, type]).toEqual([200, 'application/json']);
    expect(body).toMatchObject({ name: 'carryover', extensions: expect.arrayContaining(['binary_tensor_data', 'sequence']) });
  });

  test.each<[string, string, number, RegExp]>([
    ['GET', '/v2/nothing', 404, /^Nothing is served at GET \/v2\/nothing/],
    ['GET', '/v2/models/sunspots/config', 404, /^Nothing is served/],
    ['PUT', '/v2/models/sunspots', 405, /expected GET, HEAD/],
    ['GET', '/v2/models/sunspots/infer', 405, /expected POST/],
    ['GET', '/v2/models/none', 404, /no model "none"/],
    ['GET', '/v2/models/sunspots/versions/2', 404, /no version "2" of model 'sunspots', expected 1/],
    ['GET', '/v2?x=1', 400, /"x" is not a query parameter/],
    ['POST', '/v2/models/sunspots/infer', 400, /needs a body/],
    ['GET', '/v2/%zz', 400, /not a valid URL path/],
  ])('%s %s is an error of the protocol, with its reason', async (method, url, status, error) => {
    const response = await app.http.inject({ method: method as 'GET', url });
    expect([response.statusCode, response.headers['content-type']]).toEqual([status, 'application/json']);
    expect(response.json()).toEqual({ error: expect.stringMatching(error) });
  });

  test('other addresses have problems, as before', async () => {
    expect((await get(app, '/v2x')).type).toMatch(/^application\/problem\+json/);
    expect((await get(app, '/v1/models/none')).type).toMatch(/^application\/problem\+json/);
  });
});

describe('a model', async () => {
  const app = await buildApp();
  const real = (name: string, ...shape: number[]) => ({ name, datatype: 'FP32', shape });
  const LENGTHS = { name: 'lengths', datatype: 'INT32', shape: [-1] };

  test('its inputs and outputs follow from its layers', async () => {
    const { body } = await get(app, '/v2/models/austen');
    const states = [real('h.0', -1, 128), real('h.1', -1, 128), real('c.0', -1, 128), real('c.1', -1, 128)];
    const O = body.outputs.at(-1).shape[1];
    expect(body).toEqual({
      name: 'austen',
      versions: ['1'],
      platform: 'carryover',
      inputs: [{ name: 'x', datatype: 'INT64', shape: [-1, -1] }, ...states, LENGTHS],
      outputs: [real('hs', -1, -1, 128), ...states, real('ys', -1, -1, O), real('y', -1, O)],
    });
    const { body: sunspots } = await get(app, '/v2/models/sunspots/versions/1');
    expect(sunspots.inputs).toEqual([real('x', -1, -1, 1), real('h', -1, 32), LENGTHS]);
  });

  test.each(['austen', 'weather', 'sunspots'])('%s: an inference has the outputs that are described', async (model) => {
    const { body } = await get(app, `/v2/models/${model}`);
    const [x] = body.inputs;
    const shape = x.shape.map((size: number, axis: number) => (size === -1 ? axis + 2 : size));
    const count = shape.reduce((a: number, b: number) => a * b);
    const payload = { inputs: [{ ...x, shape, data: Array(count).fill(1) }] };
    const response = await app.http.inject({ method: 'POST', url: `/v2/models/${model}/infer`, payload });
    const { outputs } = response.json();
    const described = body.outputs.map(({ name, shape: sizes }: any) => [name, sizes.length, sizes.at(-1)]);
    expect(outputs.map(({ name, shape: sizes }: any) => [name, sizes.length, sizes.at(-1)])).toEqual(described);
  });

  test('it is found by its id, and is ready', async () => {
    const { id } = (await get(app, '/v1/models/sunspots')).body;
    expect((await get(app, `/v2/models/${encodeURIComponent(id)}`)).body.name).toBe(id);
    expect((await get(app, `/v2/models/${id}/ready`)).body).toEqual({ name: id, ready: true });
    expect((await get(app, '/v2/models/none/ready')).status).toBe(404);
  });

  test('the index lists all names, and has an entry for a model without one', async () => {
    const { body: model } = await app.post('/v1/models', { weights: { W_x: [[0.125]], W_h: [[0.25]] } });
    await app.http.inject({ method: 'PUT', url: '/v1/models/second', payload: { model: 'sunspots' } });
    for (const payload of [undefined, {}, { ready: true }]) {
      const response = await app.http.inject({ method: 'POST', url: '/v2/repository/index', ...(payload && { payload }) });
      const entries = response.json().map(({ name, ...rest }: any) => {
        expect(rest).toEqual({ version: '1', state: 'READY', reason: '' });
        return name;
      });
      expect(new Set(entries)).toEqual(new Set(['austen', model.id, 'second', 'sunspots', 'weather']));
    }
  });

  test('other weights are not loaded under its name, and unloading it is refused', async () => {
    const call = async (what: string, payload: object) => {
      const response = await app.http.inject({ method: 'POST', url: `/v2/repository/models/sunspots/${what}`, payload });
      return [response.statusCode, response.json().error];
    };
    expect(await call('load', {})).toEqual([200, undefined]);
    expect(await call('load', { parameters: { config: '{}' } })).toEqual([400, expect.stringContaining('"config" is no parameter')]);
    expect(await call('unload', {})).toEqual([400, expect.stringContaining('DELETE /v1/models/{model}')]);
    expect((await get(app, '/v2/models/sunspots/ready')).status).toBe(200);
  });
});

test('a server that drains is not ready, and says why', async () => {
  const app = await buildApp();
  void app.drain(1);
  for (const [url, name] of [['/v2/health/ready', undefined], ['/v2/models/sunspots/ready', 'sunspots']] as const) {
    const { status, body } = await get(app, url);
    expect([status, body]).toEqual([503, { ...(name && { name }), ready: false, error: 'shutting down' }]);
  }
  expect((await get(app, '/v2/health/live')).body).toEqual({ live: true });
});

test('tenants see their own models, and keys need scopes', async () => {
  const keys = makeKeys();
  const [a, b, computes, reads] = [keys.add('a'), keys.add('b'), keys.add('a', ['compute']), keys.add('a', ['models'])];
  const app = await buildApp({ API_KEYS_FILE: keys.path });
  const call = async (key: string, method: 'GET' | 'POST', url: string, payload?: object) => {
    const response = await app.http.inject({ method, url, headers: { 'x-api-key': key }, ...(payload && { payload }) });
    return { status: response.statusCode, body: response.json(), headers: response.headers };
  };
  await call(a, 'POST', '/v1/models', { name: 'own', weights: { W_x: [[0.5]], W_h: [[0.25]] } });
  const infer = { inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [1] }] };
  expect((await call(computes, 'GET', '/v2/models/own')).status).toBe(200);
  expect((await call(computes, 'POST', '/v2/models/own/infer', infer)).status).toBe(200);
  expect((await call(b, 'POST', '/v2/models/own/infer', infer)).body.error).toBe('There is no model "own"; GET /v1/models lists all.');
  const names = async (key: string) => (await call(key, 'POST', '/v2/repository/index')).body.map(({ name }: any) => name);
  expect(await names(a)).toContain('own');
  expect(await names(b)).not.toContain('own');
  expect((await call(computes, 'POST', '/v2/repository/index')).status).toBe(403);
  expect((await call(reads, 'POST', '/v2/models/own/infer', infer)).status).toBe(403);
  const unknown = await call('no-key', 'GET', '/v2/models/own');
  expect([unknown.status, unknown.body]).toEqual([401, { error: expect.any(String) }]);
  expect(unknown.headers['www-authenticate']).toContain('Bearer');
  for (const url of ['/v2', '/v2/health/live', '/v2/health/ready']) expect((await get(app, url)).status).toBe(200);
});
