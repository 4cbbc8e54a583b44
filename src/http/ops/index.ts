// GET /: where to look, for who opens the address of the service and nothing else.
import type { FastifyInstance } from 'fastify';

export function indexRoute(app: FastifyInstance, version: string): void {
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
