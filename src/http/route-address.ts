import type { FastifyRequest } from 'fastify';

/** Method and path pattern of the request's route as the documentation writes them, e.g. `POST /v1/sessions/{id}/fork`. */
export function addressOf({ method, routeOptions }: FastifyRequest): string {
  return `${method} ${shownPattern(routeOptions.url ?? '')}`;
}

export function shownPattern(pattern: string): string {
  return pattern.replaceAll(/:(\w+)/g, '{$1}');
}
