// GET /clients/carryover.py: the client for Python programs, a file of its own.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HttpServer } from '../http-server.ts';

const PYTHON_CLIENT = join(import.meta.dirname, '../../client/carryover.py');

export function clientsRoute(app: HttpServer): void {
  const file = readFileSync(PYTHON_CLIENT);
  const etag = `"${createHash('sha256').update(file).digest('base64url').slice(0, 22)}"`;
  app.get('/clients/carryover.py', { schema: { hide: true } }, (request, reply) => {
    void reply.header('etag', etag).header('cache-control', 'no-cache');
    if (request.headers['if-none-match']?.includes(etag)) return reply.code(304).send();
    return reply.type('text/x-python; charset=utf-8').send(file);
  });
}
