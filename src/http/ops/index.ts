// GET /: links to the documentation and the health checks, for somebody who opens the bare address.
import type { HttpServer } from '../http-server.ts';

export function indexRoute(app: HttpServer, { version }: { readonly version: string }): void {
  const { publicAddress } = app;
  const links = {
    service: 'carryover',
    version,
    docs: publicAddress.pathOf('/docs'),
    openapi: publicAddress.pathOf('/openapi.json'),
    errors: publicAddress.pathOf('/problems'),
    health: publicAddress.pathOf('/health/ready'),
  };
  app.get('/', { schema: { hide: true } }, async () => links);
}
