// What a test may put in place of parts of the service.
import type { FastifyBaseLogger, FastifyPluginCallback } from 'fastify';
import type { JsonCodecParts } from './engine/json-codec.ts';
import type { MemorySpeed } from './scheduler/costs.ts';
import type { SessionStore } from './store/store.ts';

/** What tests put in place of parts and measurements; without them the service is as configured. */
export interface AppOverrides {
  /** Nothing is logged without one. */
  readonly logger?: FastifyBaseLogger;
  /** Changes of sessions and models are recorded by it; see http/audit.ts. */
  readonly auditLogger?: FastifyBaseLogger | undefined;
  /** Why other processes that serve the same port are not ready; see processes/. */
  readonly problemsOfOthers?: (() => readonly string[]) | undefined;
  /** A Fastify plugin that is registered before all others, for tests that watch requests or responses. */
  readonly plugin?: FastifyPluginCallback;
  /** See HttpOptions; true if absent. A server that is prepared takes no more hooks and routes. */
  readonly isPrepared?: boolean;
  /** The file a worker runs; see pool/pool.ts. */
  readonly workerEntry?: URL;
  /** The largest job that runs inline on the main thread; measured at the start if absent. */
  readonly inlineFlopsMax?: number;
  /** What the dispatch of a job to a worker takes; measured at the start if absent. If it is given, no worker starts before it is needed. */
  readonly dispatchMs?: number | undefined;
  /** Measured once in a process if absent, by filling 40 MiB, which takes a tenth of a second. */
  readonly memorySpeeds?: readonly MemorySpeed[];
  /** Up to which lengths bodies are parsed whole or inline; the results are the same. */
  readonly reading?: Pick<JsonCodecParts, 'wholeBytesMax' | 'inlineBytesMax'>;
  /** The clock by which sessions expire, in ms since 1970; that of the store if absent. */
  readonly now?: () => number;
  /** The version of the kernels' numerics, as if an earlier or a later server ran. */
  readonly numerics?: number;
  /** The store; the one that STORE_URL names if absent. */
  readonly store?: SessionStore;
}
