import type { FastifyRequest } from 'fastify';

/** As the documentation has it, e.g. `POST /v1/sessions/{id}/fork`. */
export function addressOf({ method, routeOptions }: FastifyRequest): string {
  return `${method} ${(routeOptions.url ?? '').replaceAll(/:(\w+)/g, '{$1}')}`;
}
