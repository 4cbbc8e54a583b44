// The OpenAPI document is generated from the running code and committed; it must not drift.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/error-kinds.ts';
import { buildApp } from '../helpers/app.ts';

const app = await buildApp();
const served = (await app.http.inject('/openapi.json')).json();
const operations = Object.entries<any>(served.paths).flatMap(([path, methods]) =>
  Object.entries<any>(methods).map(([method, operation]) => ({ path, method, operation })),
);

describe('the OpenAPI document', () => {
  test('the document is the committed one', () => {
    const file = join(import.meta.dirname, '../../openapi/openapi.json');
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

  test.each(operations)('$method $path documents itself and its errors', ({ operation }) => {
    expect(operation.operationId).toBeTruthy();
    expect(operation.summary).toBeTruthy();
    const codes = Object.entries<any>(operation.responses)
      // Not ready is an answer, not a problem.
      .filter(([status]) => Number(status) >= 400 && `${operation.operationId} ${status}` !== 'ready 503')
      .flatMap(([status, { description, content }]) => {
        expect(content['application/problem+json'].schema.$ref).toMatch(/Problem$/);
        return [...description.matchAll(/`(\w+)`/g)].map(([, code]) => {
          expect(ERRORS[code as keyof typeof ERRORS].status).toBe(Number(status));
          return code;
        });
      });
    expect(codes).toContain('invalid_request');
    if (operation.tags.includes('compute')) {
      expect(codes).toEqual(expect.arrayContaining(['shape_mismatch', 'queue_full', 'internal']));
    }
  });

  test.each(operations.filter(({ operation }) => operation.requestBody))(
    'the example of $method $path is answered as documented',
    async ({ path, method, operation }) => {
      const { schema } = operation.requestBody.content['application/json'];
      const { examples } = served.components.schemas[schema.$ref.split('/').at(-1)];
      expect(examples.length).toBeGreaterThan(0);
      for (const payload of examples) {
        const url = path.replace('{ref}', 'example').replace('{id}', await sessionOfExamples());
        const response = await app.http.inject({ method, url, payload });
        expect([200, 201]).toContain(response.statusCode);
        expect(operation.responses).toHaveProperty(String(response.statusCode));
      }
    },
  );

  test('each kind of layer is in an example of a model', () => {
    const { examples } = served.components.schemas.ModelBody;
    const types = examples.flatMap(({ layers = [] }: any) => layers.map(({ type }: any) => type));
    expect(new Set(types)).toEqual(new Set(['embedding', 'affine', 'dense', 'rnn', 'gru', 'lstm']));
  });
});

/** H = 2, its state at t = 0 kept. */
async function sessionOfExamples(): Promise<string> {
  const weights = { W_x: [[1, 1]], W_h: [[0, 0], [0, 0]] };
  const { body } = await app.post('/v1/sessions', { weights, keep: 1 });
  await app.post('/v1/step', { session: body.id, x: [[1]] });
  return body.id;
}
