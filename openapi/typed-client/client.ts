// A program with the client that openapi-fetch makes of the document: `node client.ts URL`. What is right in it compiles and runs;
// what is wrong stands below `@ts-expect-error`, which is an error itself where the next line compiles.
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.d.ts';

type Schemas = components['schemas'];
type Json = `${string}/json` | 'application/problem+json';

/** Compiles only if the two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>) => undefined;

const client = createClient<paths, Json>({ baseUrl: process.argv[2]! });
const weights = { W_x: [[0.5]], W_h: [[0.8]] };

const step = await client.POST('/v1/step', { body: { weights, x: [[1]] } });
same<typeof step.data, Schemas['StepReply'] | undefined>(true);
same<typeof step.error, Schemas['Problem'] | undefined>(true);
assert.deepEqual(step.data, { h: [[0.46211717]] });

const refused = await client.POST('/v1/step', { body: { weights, x: [[1, 2]] } });
assert.equal(refused.error?.code, 'shape_mismatch');

const created = await client.POST('/v1/sessions', { body: { model: 'sunspots' } });
same<typeof created.data, Schemas['SessionInfo'] | undefined>(true);
const { id } = created.data!;
const sequence = await client.POST('/v1/sequence', {
  params: { header: { 'idempotency-key': 'once' } },
  body: { session: id, x: [[[0.58]], [[0.61]]], outputs: ['ys'] },
});
assert.deepEqual(sequence.data?.ys, [[[0.69881207]], [[0.80209017]]]);
const read = await client.GET('/v1/sessions/{id}', { params: { path: { id } } });
same<typeof read.data, Schemas['SessionWithState'] | undefined>(true);
assert.equal(read.data?.t, 2);
assert.equal((await client.DELETE('/v1/sessions/{id}', { params: { path: { id } } })).response.status, 204);

const layers = [
  { type: 'gru', W_x: [[0.5, -0.25, 1]], W_h: [[0.1, 0.2, -0.3]] },
  { type: 'dense', W: [[2]] },
] satisfies Schemas['ModelBody']['layers'];
const model = await client.POST('/v1/models', { body: { layers, name: 'typed' } });
same<typeof model.data, Schemas['ModelInfo'] | undefined>(true);
assert.deepEqual(model.data?.layers?.map(({ type }) => type), ['gru', 'dense']);

const file = await client.POST('/v1/models', {
  params: { query: { activation: 'tanh' } },
  headers: { 'content-type': 'application/octet-stream' },
  body: new Blob(['no model']),
  bodySerializer: (body) => body,
});
assert.match(file.error!.code, /^malformed_/);

/** Not called: it only has to be refused by the compiler. */
export async function wrong(): Promise<void> {
  // @ts-expect-error: x is required.
  await client.POST('/v1/step', { body: { weights } });
  // @ts-expect-error: a tensor is no text.
  await client.POST('/v1/step', { body: { weights, x: '[[1]]' } });
  // @ts-expect-error: a body is no text, and a file is a Blob.
  await client.POST('/v1/step', { body: 'x' });
  // @ts-expect-error: x of a step has no axis T.
  await client.POST('/v1/step', { body: { weights, x: [[[1]]] } });
  // @ts-expect-error: there is no such field. (As a body, openapi-fetch would let it pass.)
  const body: Schemas['StepBody'] = { weights, x: [[1]], length: [1] };
  await client.POST('/v1/step', { body });
  // @ts-expect-error: there is no such output.
  await client.POST('/v1/sequence', { body: { weights, x: [[[1]]], outputs: ['z'] } });
  // @ts-expect-error: there is no such layer.
  await client.POST('/v1/models', { body: { layers: [{ type: 'attention', W: [[1]] }] } });
  // @ts-expect-error: a dense layer has no W_x.
  await client.POST('/v1/models', { body: { layers: [{ type: 'dense', W_x: [[1]] }] } });
  // @ts-expect-error: h is required.
  await client.PUT('/v1/sessions/{id}/state', { params: { path: { id } }, body: { t: 0 } });
  // @ts-expect-error: t is an integer.
  await client.POST('/v1/sessions/{id}/rewind', { params: { path: { id } }, body: { t: '0' } });
  // @ts-expect-error: there is no such address.
  await client.GET('/v1/session/{id}', { params: { path: { id } } });
  // @ts-expect-error: a model has no weights in answers.
  (await client.GET('/v1/models/{ref}', { params: { path: { ref: 'sunspots' } } })).data?.weights;
}
