// A client of the service. See openapi/README.md.
export class CarryoverError extends Error {
  readonly code: string | undefined;
}
export class Carryover {
  constructor(readonly_url: string, _options: { apiKey?: string }) { void readonly_url; }
}
