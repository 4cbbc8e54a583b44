// The built-in models are registered when they are first referred to, and look as if they were there from the start.
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { BUILT_IN_MODELS } from '../../src/models/models-dir.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';

const models = Object.values(BUILT_IN_MODELS);
/** A request of each, x (N, D) or, of the embedding, (N). */
const X = { sunspots: [[0.58]], weather: [[0, 5.6, -2.1, 3.5, 0, 1]], austen: [1] };

const get = async (app: TestApp, path: string) => (await app.http.inject(path)).json();

describe('by their names', async () => {
  const app = await buildApp();
  test.each(models)('$name is found, and has the id that it is said to have', async ({ name, id }) => {
    const { status, body } = await app.post('/v1/step', { model: name, x: X[name as keyof typeof X] });
    expect({ status, rows: body.y.length }).toEqual({ status: 200, rows: 1 });
    expect(await get(app, `/v1/models/${name}`)).toMatchObject({ id, names: [name] });
  });
});

describe('by their ids', async () => {
  const app = await buildApp();
  test.each(models)('$name is found', async ({ name, id }) => {
    expect((await app.post('/v1/sessions', { model: id })).body).toMatchObject({ model: id, t: 0 });
    expect((await get(app, `/v1/models/${id}`)).names).toEqual([name]);
  });
});

describe('before they are used', async () => {
  const app = await buildApp();

  test('their names belong to them', async () => {
    const weights = { W_x: [[0.5]], W_h: [[0.5]] };
    const { body: other } = await app.post('/v1/models', { weights });
    const refused = [
      await app.post('/v1/models', { weights, name: 'weather' }),
      await app.http.inject({ method: 'PUT', url: '/v1/models/weather', payload: { model: other.id } }),
    ].map((answer) => ('status' in answer ? answer.body : answer.json()).code);
    expect(refused).toEqual(['built_in_model', 'built_in_model']);
    expect(app.registry.has('weather')).toBe(false);
  });

  test('calls that come together load a model once', async () => {
    const read = vi.spyOn(BUILT_IN_MODELS.austen, 'read');
    onTestFinished(() => read.mockRestore());
    const call = () => app.post('/v1/step', { model: 'austen', x: [1] });
    const answers = await Promise.all(Array.from({ length: 10 }, call));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(read).toHaveBeenCalledOnce();
  });

  test('they are listed, and cannot be deleted', async () => {
    const { models: listed } = await get(app, '/v1/models');
    const names = listed.flatMap(({ names }: { names: string[] }) => names);
    expect(names.toSorted()).toEqual(['austen', 'sunspots', 'weather']);
    expect((await app.http.inject({ method: 'DELETE', url: '/v1/models/weather' })).json().code).toBe('built_in_model');
  });
});

test('where there is no capacity for one more model, the list has the others, and a call says what is full', async () => {
  const app = await buildApp({ MODELS_MAX: '2' });
  await app.post('/v1/models', { weights: { W_x: [[0.5]], W_h: [[0.5]] } });
  expect((await app.http.inject('/v1/models')).json().models).toHaveLength(2);
  expect((await app.post('/v1/step', { model: 'austen', x: [1] })).body.code).toBe('models_full');
});
