// A service that a test builds ends with its file, and its responses are checked then: a hook that a test adds is not called.
import { expect, test } from 'vitest';
import { buildApp } from './app.ts';
import { closeAll } from './cleanup.ts';

test('a service that a test builds is closed at the end of the file', async () => {
  const app = await buildApp({ WORKERS: '1' });
  expect(app.pool.readyCount).toBe(1);
  await closeAll();
  expect(app.pool.readyCount).toBe(0);
});

test('a response that does not fit its schema fails the file also if a test has built the service', async () => {
  const app = await buildApp({ WORKERS: '1' });
  app.http.get('/wrong', { config: { access: 'public' }, schema: { response: { 200: { type: 'string' } } } }, (_, reply) => {
    void reply.type('application/json').serializer((bytes: string) => bytes).send('{}');
  });
  expect((await app.http.inject('/wrong')).statusCode).toBe(500);
  await expect(closeAll()).rejects.toMatchObject({ actual: ['GET /wrong → 200: [" must be string"]'] });
  expect(app.pool.readyCount).toBe(0);
});
