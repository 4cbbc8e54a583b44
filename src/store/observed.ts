// A store whose calls are measured: how long each takes, and with which error it fails.
import type { ErrorCode } from '../error-kinds.ts';
import { CarryoverError } from '../errors.ts';
import type { ModelStore, SessionStore } from './store.ts';

/** The calls that are measured, as those of sessions and of models. */
export const STORE_OPERATIONS = [
  'create',
  'change',
  'writeTombstone',
  'read',
  'due',
  'postpone',
  'forget',
  'list',
  'count',
  'secret',
] as const satisfies readonly (keyof SessionStore)[];
export const MODEL_STORE_OPERATIONS = [
  'put',
  'get',
  'remove',
  'collect',
  'ids',
  'point',
  'unpoint',
  'names',
  'revision',
] as const satisfies readonly (keyof ModelStore)[];

export type StoreOperation = (typeof STORE_OPERATIONS)[number] | (typeof MODEL_STORE_OPERATIONS)[number];

/** Called when a call has settled. @param errorCode undefined if it has resolved */
export type StoreCallListener = (operation: StoreOperation, ms: number, errorCode: ErrorCode | undefined) => void;

/** The same store, which reports its calls. */
export function observedStore(store: SessionStore, listener: StoreCallListener): SessionStore {
  const models = observed(store.models, MODEL_STORE_OPERATIONS, listener);
  return observed(store, STORE_OPERATIONS, listener, { models });
}

/** An object that does what `target` does, with other values for the members of `replaced`. */
function observed<Target extends SessionStore | ModelStore>(
  target: Target,
  operations: readonly (StoreOperation & keyof Target)[],
  listener: StoreCallListener,
  replaced: Partial<Target> = {},
): Target {
  const members = new Map<PropertyKey, unknown>(Object.entries(replaced));
  for (const operation of operations) {
    const call = target[operation] as (...args: unknown[]) => Promise<unknown>;
    members.set(operation, (...args: unknown[]) => {
      const startMs = performance.now();
      const report = (errorCode?: ErrorCode) => listener(operation, performance.now() - startMs, errorCode);
      const result = call.apply(target, args);
      // Beside the caller, who does not wait for it.
      result.then(() => report(), (error: unknown) => report(codeOf(error)));
      return result;
    });
  }
  return new Proxy(target, {
    get(_, name) {
      if (members.has(name)) return members.get(name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof CarryoverError ? error.code : 'internal';
}
