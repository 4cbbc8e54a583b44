// What would make the first request of a route slow is done before the server listens: compiling validators takes up
// to 20 ms for a route, making the OpenAPI document 30 ms.
import ajvCompiler from '@fastify/ajv-compiler';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { describe, expect, test, vi } from 'vitest';
import { NAMED_SCHEMAS } from '../../src/http/named-schemas.ts';
import { STRICT_AJV } from '../../src/http/validation.ts';
import { buildApp } from '../helpers/app.ts';

const STEP = {
  method: 'POST',
  url: '/v1/step',
  payload: { weights: { W_x: [[1]], W_h: [[1]] }, x: [[1]] },
} as const;

describe('the first requests', () => {
  test('a server that is prepared compiles nothing for them and makes no document', async () => {
    expect(await statusOfFirstRequests(true)).toEqual({ step: 200, openapi: 200, yaml: 200 });
  });

  test('control: a server that is not prepared does both', async () => {
    expect(await statusOfFirstRequests(false)).toEqual({ step: 500, openapi: 500, yaml: 500 });
  });
});

/** Of requests to a server that can neither compile a validator nor make the document. */
async function statusOfFirstRequests(isPrepared: boolean) {
  // Responses are not validated: that compiles validators too.
  const { http } = await buildApp({}, { isPrepared, plugin: fp(() => {}) });
  // Loads what inject() needs.
  expect((await http.inject('/health/live')).statusCode).toBe(200);
  http.swagger = () => {
    throw new Error('made at a request');
  };
  // Ajv makes a validator by new Function(code), and prints the code if that fails.
  const { Function } = globalThis;
  globalThis.Function = function compile() {
    throw new Error('compiled at a request');
  } as unknown as FunctionConstructor;
  const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
  try {
    return {
      step: (await http.inject(STEP)).statusCode,
      openapi: (await http.inject('/openapi.json')).statusCode,
      yaml: (await http.inject('/docs/yaml')).statusCode,
    };
  } finally {
    globalThis.Function = Function;
    printed.mockRestore();
  }
}

describe('the schemas of requests', () => {
  // The service does not check them itself, which would take a tenth of its start.
  const named = Object.fromEntries(NAMED_SCHEMAS.map((schema) => [String((schema as { $id?: string }).$id), schema]));
  const compile = ajvCompiler()(named, {
    ...STRICT_AJV,
    customOptions: { ...STRICT_AJV.customOptions, validateSchema: true },
  });
  const expectValid = (schema: object) => expect(compile({ schema })).toBeTypeOf('function');

  test('those of all routes are valid', async () => {
    const schemas: object[] = [];
    const plugin = fp((app: FastifyInstance) => {
      app.addHook('onRoute', ({ schema }) => {
        schemas.push(...schemasOf(schema ?? {}));
      });
    });
    await buildApp({}, { plugin });
    expect(schemas.length).toBeGreaterThan(30);
    for (const schema of schemas) expectValid(schema);
  });

  test('control: one that is not is found', () => {
    expect(() => expectValid({ type: 'object', required: 'x' })).toThrow(/required must be array/);
  });
});

/** Of the parts of a request; a body may have one for each of its media types. */
function schemasOf(schema: object): object[] {
  const { body, params, querystring, headers } = schema as Record<string, { content?: Record<string, Content> }>;
  const bodies = body?.content ? Object.values(body.content).map((content) => content.schema) : [body];
  return [...bodies, params, querystring, headers].filter((part) => part !== undefined);
}

interface Content {
  readonly schema: object;
}
