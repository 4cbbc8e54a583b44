// The OpenAPI document is generated from the running code and committed; it must not drift.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { answersToExamples } from '../../openapi/example-answers.ts';
import { ERRORS, type ErrorCode } from '../../src/error-kinds.ts';
import { EXAMPLES } from '../../src/http/docs/examples.ts';
import { inferenceStatusOf } from '../../src/http/responses/inference-error.ts';
import { makeKeys } from '../helpers/access.ts';
import { buildApp } from '../helpers/app.ts';

const root = join(import.meta.dirname, '../..');
const app = await buildApp();
const served = (await app.http.inject('/openapi.json')).json();
const operations = Object.entries<any>(served.paths).flatMap(([path, methods]) =>
  Object.entries<any>(methods).map(([method, operation]) => ({ path, method, operation })),
);

describe('the OpenAPI document', () => {
  test('the document is the committed one', () => {
    const file = join(root, 'openapi/openapi.json');
    expect(JSON.parse(readFileSync(file, 'utf8')), 'run `npm run openapi`').toEqual(served);
  });

  test('the document is OpenAPI 3.1, names its schemas and resolves every reference', () => {
    expect(served.openapi).toBe('3.1.0');
    const names = Object.keys(served.components.schemas);
    expect(names).toEqual(
      expect.arrayContaining(['Weights', 'StepBody', 'StepReply', 'SequenceBody', 'Problem']),
    );
    expect(names.filter((name) => name.startsWith('def-'))).toEqual([]);
    for (const [, name] of JSON.stringify(served).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
      expect(names).toContain(name);
    }
  });

  test('the headers that responses have are in the document', async () => {
    const keys = makeKeys();
    const key = keys.add('a');
    const guarded = await buildApp({ API_KEYS_FILE: keys.path, TENANT_REQUESTS_PER_S: '20' });
    const watched = ['x-request-id', 'etag', 'x-session-id', 'location', 'idempotency-replayed', 'retry-after', 'ratelimit', 'ratelimit-policy', 'www-authenticate'];
    const found = new Set<string>();
    const send = async (method: 'GET' | 'POST' | 'PUT', url: string, template: string, headers: Record<string, string> = {}, payload?: object) => {
      const response = await guarded.http.inject({ method, url, headers: { authorization: `Bearer ${key}`, ...headers }, ...(payload && { payload }) });
      const described = served.paths[template][method.toLowerCase()].responses[response.statusCode];
      const names = Object.keys(described.headers).map((name) => name.toLowerCase());
      for (const { $ref } of Object.values<any>(described.headers)) expect(served.components.headers).toHaveProperty([$ref.split('/').at(-1)]);
      for (const name of watched.filter((one) => response.headers[one] !== undefined)) {
        expect(names, `${method} ${url} → ${response.statusCode}`).toContain(name);
        found.add(name);
      }
      return response.json();
    };
    await send('GET', '/v1/models/sunspots', '/v1/models/{ref}');
    const { id } = await send('POST', '/v1/sessions', '/v1/sessions', { 'idempotency-key': 'k' }, { model: 'sunspots' });
    await send('POST', '/v1/sessions', '/v1/sessions', { 'idempotency-key': 'k' }, { model: 'sunspots' });
    await send('POST', '/v1/step', '/v1/step', {}, { session: id, x: [[1]] });
    await send('POST', '/v1/step', '/v1/step', { 'if-match': '"a"' }, { session: id, x: [[1]] });
    await send('POST', `/v1/sessions/${id}/fork`, '/v1/sessions/{id}/fork');
    await send('GET', '/v1/models', '/v1/models', { authorization: 'Bearer nobody' });
    const infer = { inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [1] }], parameters: { sequence_id: 1, sequence_start: true } };
    await send('POST', '/v2/models/sunspots/infer', '/v2/models/{model}/infer', {}, infer);
    for (let k = 0; k < 300 && !found.has('retry-after'); k++) await send('GET', '/v1/models', '/v1/models');
    expect([...found].toSorted()).toEqual(watched.toSorted());
  });

  test.each([
    ['/docs/json', 'application/json; charset=utf-8'],
    // JSON is YAML.
    ['/docs/yaml', 'application/yaml'],
  ])('%s is the document too', async (path, type) => {
    const response = await app.http.inject(path);
    expect(response.headers['content-type']).toBe(type);
    expect(response.json()).toEqual(served);
  });

  test('each path has one template, whatever its parameters are called', () => {
    const paths = Object.keys(served.paths);
    expect(new Set(paths.map((path) => path.replaceAll(/\{\w+\}/g, '{}'))).size).toBe(paths.length);
  });

  test('files are documented as bytes, in requests and in answers', () => {
    const contents = operations.flatMap(({ operation }) =>
      [operation.requestBody, ...Object.values<any>(operation.responses)].map((part) => part?.content ?? {}),
    );
    const files = contents.flatMap((content) =>
      Object.entries<any>(content).filter(([type]) => /octet-stream|safetensors/.test(type)),
    );
    // Of step, sequence and models two types of a body, of step and sequence one of an answer; or more.
    expect(files.length).toBeGreaterThanOrEqual(3 * 2 + 2);
    for (const [, { schema }] of files) expect(schema).toEqual({ type: 'string', format: 'binary' });
  });

  test.each(operations)('$method $path documents itself and its errors', ({ operation, path }) => {
    const isInference = path.startsWith('/v2');
    expect(operation.operationId).toBeTruthy();
    expect(operation.summary).toBeTruthy();
    const codes = Object.entries<any>(operation.responses)
      // Not ready is an answer, not a problem.
      .filter(([status]) => Number(status) >= 400 && !/ready 503$/i.test(`${operation.operationId} ${status}`))
      .flatMap(([status, { description, content }]) => {
        if (isInference) expect(content['application/json'].schema.$ref).toMatch(/InferenceError$/);
        else expect(content['application/problem+json'].schema.$ref).toMatch(/Problem$/);
        return [...description.matchAll(/`(\w+)`/g)].map(([, code]) => {
          const documented = isInference ? inferenceStatusOf(code as ErrorCode) : ERRORS[code as ErrorCode].status;
          expect(documented).toBe(Number(status));
          return code;
        });
      });
    expect(codes).toContain('invalid_request');
    if (operation.tags.includes('compute')) {
      expect(codes).toEqual(expect.arrayContaining(['shape_mismatch', 'queue_full', 'internal']));
    }
  });

  test('every example is answered with 2xx and with the bits that the document shows, and again on the same service', async () => {
    const answers = JSON.parse(readFileSync(join(root, 'src/http/docs/answers.json'), 'utf8'));
    const fresh = await buildApp();
    await fresh.http.ready();
    expect(await answersToExamples(fresh.http), 'run `npm run openapi`').toEqual(answers);
    expect(Object.keys(await answersToExamples(fresh.http))).toEqual(Object.keys(answers));
  });

  test('every operation has examples, and every body a name for each', () => {
    for (const { operation } of operations) {
      const { operationId, requestBody, parameters = [], responses } = operation;
      if (requestBody) expect(Object.keys(requestBody.content['application/json'].examples)).toEqual(Object.keys(EXAMPLES[operationId]!));
      for (const parameter of parameters.filter((one: any) => one.in === 'path')) expect(parameter.example, operationId).toBeTruthy();
      const shown = Object.values<any>(responses).flatMap(({ content = {} }) => Object.values<any>(content).flatMap(({ examples = {} }) => Object.keys(examples)));
      const hasAnswer = !['streamSession', 'streamSessions', 'deleteSession', 'deleteModel'].includes(operationId);
      expect(shown.length > 0, operationId).toBe(hasAnswer);
    }
  });

  test('the operations are in the order of their tags', () => {
    const tags = operations.map(({ operation }) => operation.tags[0]);
    expect([...new Set(tags)]).toEqual(['compute', 'models', 'sessions', 'open inference protocol', 'operations']);
    expect(served.tags.map(({ name }: { name: string }) => name)).toEqual([...new Set(tags)]);
    expect(tags).toEqual(tags.toSorted((a, b) => served.tags.findIndex(({ name }: any) => name === a) - served.tags.findIndex(({ name }: any) => name === b)));
  });

  test('each kind of layer is in an example of a model', () => {
    const bodies = Object.values(EXAMPLES['registerModel']!).map(({ body }) => body as { layers?: { type: string }[] });
    const types = bodies.flatMap(({ layers = [] }) => layers.map(({ type }) => type));
    expect(new Set(types)).toEqual(new Set(['embedding', 'affine', 'dense', 'rnn', 'gru', 'lstm']));
  });
});
