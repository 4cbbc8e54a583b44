// GET /: where to look, for who opens the address of the service and nothing else.
import type { HttpServer } from '../http-server.ts';

export function indexRoute(app: HttpServer, version: string): void {
  const links = {
    service: 'carryover',
    version,
    docs: '/docs',
    openapi: '/openapi.json',
    errors: '/problems',
    health: '/health/ready',
  };
  app.get('/', { schema: { hide: true } }, async () => links);
}
