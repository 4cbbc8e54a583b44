// Calls of the store and imports of model files.
import type { ErrorCode } from '../error-kinds.ts';
import { CarryoverError } from '../errors.ts';
import type { ImportListener } from '../models/import-file.ts';
import {
  MODEL_STORE_OPERATIONS,
  STORE_OPERATIONS,
  type StoreCallListener,
  type StoreOperation,
} from '../store/observed.ts';
import { METRICS } from './catalogue.ts';
import type { Exposition } from './exposition.ts';
import type { Distribution } from './series.ts';

export function storeMetrics(exposition: Exposition): StoreCallListener {
  const seconds = exposition.histogram(METRICS.storeSeconds);
  const errors = exposition.counter(METRICS.storeErrors);
  const operations: readonly StoreOperation[] = [...STORE_OPERATIONS, ...MODEL_STORE_OPERATIONS];
  const secondsOf = Object.fromEntries(
    operations.map((operation) => [operation, seconds.of(operation)]),
  ) as Record<StoreOperation, Distribution>;
  // Alerts compare with 0 what has not occurred yet.
  const usual: readonly ErrorCode[] = ['store_unavailable', 'store_full'];
  for (const code of usual) errors.of(code);
  return (operation, ms, errorCode) => {
    secondsOf[operation].observe(ms / 1_000);
    if (errorCode !== undefined) errors.of(errorCode).add();
  };
}

export function importMetrics(exposition: Exposition): ImportListener {
  const imports = exposition.counter(METRICS.imports);
  return (format, error) => imports.of(format, outcomeOf(error)).add();
}

function outcomeOf(error: unknown): string {
  if (error === undefined) return 'imported';
  return error instanceof CarryoverError && error.kind.status < 500 ? 'refused' : 'failed';
}
