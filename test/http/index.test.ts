import { expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';

test('the root address links to the documentation', async () => {
  const { http } = await buildApp();
  const response = await http.inject('/');
  expect(response.statusCode).toBe(200);
  const links = Object.values<string>(response.json()).filter((value) => value.startsWith('/'));
  expect(links).toEqual(expect.arrayContaining(['/docs', '/openapi.json', '/health/ready']));
  for (const link of links) expect((await http.inject(link)).statusCode, link).toBeLessThan(400);
  expect((await http.inject({ method: 'POST', url: '/' })).headers.allow).toBe('GET, HEAD');
});
