// GET /: links to the documentation and the health checks, for somebody who opens the bare address.
import type { HttpServer } from '../http-server.ts';

export function indexRoute(app: HttpServer, { version }: { readonly version: string }): void {
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
