import type { FastifyRequest } from 'fastify';

/** Method and path pattern of the request's route as the documentation writes them, e.g. `POST /v1/sessions/{id}/fork`. */
export function addressOf({ method, routeOptions }: FastifyRequest): string {
  return `${method} ${(routeOptions.url ?? '').replaceAll(/:(\w+)/g, '{$1}')}`;
}
