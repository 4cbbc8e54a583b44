// What the primary, the process that was started, and the processes that serve say to each other.
import type { Listening } from '../announce.ts';
import type { Snapshot } from '../metrics/exposition.ts';

export type ToProcess =
  /** Often: how are you? And why the others are not ready, if they are not. */
  | { readonly type: 'ask'; readonly problemsOfOthers: readonly string[] }
  | { readonly type: 'measure'; readonly id: number }
  | { readonly type: 'reload' }
  | { readonly type: 'close' };

export type FromProcess =
  /** It takes connections from now on. */
  | { readonly type: 'listening'; readonly listening: Listening }
  /** The answer to `ask`: why it should get no requests, if it should not. */
  | { readonly type: 'problems'; readonly problems: readonly string[] }
  /** The answer to `measure`; without an id it is the last one. */
  | { readonly type: 'measured'; readonly id: number | undefined; readonly snapshot: Snapshot };
