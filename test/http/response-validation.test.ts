// Control of the check that all tests make: a response that does not fit the schema of its route is noticed.
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { STRICT_AJV } from '../../src/http/validation.ts';
import { responseValidation } from '../helpers/response-validation.ts';

const Reply = {
  type: 'object',
  properties: { h: { type: 'array', items: { type: 'number' } } },
  required: ['h'],
  additionalProperties: false,
};
const asBytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test.each([
  ['the schema', 200, asBytes({ h: [1] }), []],
  ['another type', 200, asBytes({ h: ['1'] }), [/^GET \/ → 200: .*\/h\/0 must be number/]],
  ['a field more', 200, asBytes({ h: [1], z: 1 }), [/must NOT have additional properties/]],
  ['a field less', 200, JSON.stringify({}), [/must have required property 'h'/]],
  ['another status', 201, asBytes({ h: [1] }), [/→ 201: this status is not described/]],
])('a response with %s is compared with the schema', async (_, status, payload, expected) => {
  const mismatches: string[] = [];
  const app = Fastify({ ajv: STRICT_AJV });
  app.register(responseValidation((mismatch) => mismatches.push(mismatch)));
  app.get('/', { schema: { response: { 200: Reply } } }, (_request, reply) => {
    void reply.code(status as 200).type('application/json').serializer((bytes: string) => bytes).send(payload);
  });
  const { statusCode } = await app.inject('/');
  expect(mismatches).toEqual(expected.map((text) => expect.stringMatching(text)));
  expect(statusCode).toBe(expected.length === 0 ? 200 : 500);
});

test.each([
  [1, {}, 1],
  [1, { 'server-timing': 'compute;dur=1' }, 0],
  [0, {}, 0],
])('computed for %s ms, with the headers %o: %s mismatches', async (computeMs, headers, count) => {
  const mismatches: string[] = [];
  const app = Fastify();
  app.decorateRequest('lifetime', { getter: () => ({ record: { computeMs } }) as never });
  app.register(responseValidation((mismatch) => mismatches.push(mismatch)));
  app.get('/', (_, reply) => reply.headers(headers).send('a file'));
  await app.inject('/');
  expect(mismatches).toHaveLength(count);
  expect(mismatches.join()).toMatch(count === 0 ? /^$/ : /it was computed, and has no Server-Timing/);
});
