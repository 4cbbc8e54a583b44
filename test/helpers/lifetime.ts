import { Lifetime } from '../../src/lifetime.ts';

/** Of a request of its own client that may take its time. */
export function lifetimeOf(msMax = 60_000, client: object = {}): Lifetime {
  return new Lifetime(client, msMax);
}
