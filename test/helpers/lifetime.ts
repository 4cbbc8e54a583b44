import { Lifetime } from '../../src/lifetime.ts';

/** The lifetime of a request of its own client, by default with a long deadline. */
export function lifetimeOf(msMax = 60_000, client: object = {}): Lifetime {
  return new Lifetime(client, msMax);
}
