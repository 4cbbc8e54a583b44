// Load on a store while something fails, and a check of every answer.
import { setTimeout as sleep } from 'node:timers/promises';
import { CarryoverError } from '../../src/errors.ts';
import type { RecordParts, SessionStore } from '../../src/store/store.ts';

export interface Outcome {
  /** Changes that resolved, failed with applied 'no', failed with applied 'unknown'. */
  done: number;
  no: number;
  unknown: number;
  slowestMs: number;
  /** When a change was done: performance.now(). */
  readonly doneAtMs: number[];
  /** What must never happen, one sentence each. */
  readonly violations: string[];
}

/**
 * Changes sessions until `isOver`. Each has one writer, so it is known what must be stored: every change that
 * resolved, none that was answered with applied `no`, and none twice.
 */
export async function hammer(
  store: SessionStore,
  ids: readonly string[],
  isOver: () => boolean,
): Promise<Outcome> {
  const outcome: Outcome = { done: 0, no: 0, unknown: 0, slowestMs: 0, doneAtMs: [], violations: [] };
  await Promise.all(ids.map((id) => write(store, id, isOver, outcome)));
  return outcome;
}

async function write(store: SessionStore, id: string, isOver: () => boolean, outcome: Outcome) {
  let { revision } = (await store.read(id))!;
  let count = countOf(revision);
  for (let number = 0; !isOver(); number++) {
    const head = Buffer.from(`${id} ${count + 1} ${number}`);
    const startMs = performance.now();
    const result = await store
      .change(id, revision, { head, slots: new Map([[number % 4, head]]) })
      .catch((error: unknown) => error);
    outcome.slowestMs = Math.max(outcome.slowestMs, performance.now() - startMs);
    if (typeof result === 'string') {
      outcome.done++;
      outcome.doneAtMs.push(performance.now());
      revision = result;
      count++;
      continue;
    }
    if (result === undefined) {
      outcome.violations.push(`${id}: refused at revision ${revision}, of which it is the only writer`);
    } else if (result instanceof CarryoverError) {
      outcome[result.applied as 'no' | 'unknown']++;
    } else {
      outcome.violations.push(`${id}: ${(result as Error).message}`);
    }
    const stored = await readWhenPossible(store, id);
    const isApplied = Buffer.from(stored?.head ?? '').equals(head);
    const storedCount = stored ? countOf(stored.revision) : 0;
    if (!stored || storedCount < count) {
      outcome.violations.push(`${id}: lost, ${stored?.revision} after ${revision} was answered`);
    } else if (storedCount > count + (isApplied ? 1 : 0)) {
      outcome.violations.push(`${id}: twice, ${stored.revision} after ${revision}`);
    }
    if (isApplied && result instanceof CarryoverError && result.applied === 'no') {
      outcome.violations.push(`${id}: answered 'no', and is applied`);
    }
    revision = stored?.revision ?? '';
    count = storedCount;
  }
  const stored = await readWhenPossible(store, id);
  if (stored?.revision !== revision) {
    outcome.violations.push(`${id}: ends at ${stored?.revision}, ${revision} was answered`);
  }
}

async function readWhenPossible(store: SessionStore, id: string) {
  for (;;) {
    try {
      return await store.read(id);
    } catch {
      await sleep(20);
    }
  }
}

/** The number of changes that led to a revision, in the stores that this is used with. */
export function countOf(revision: string): number {
  return Number.parseInt(revision, 10);
}

/** Changes a record at its current revision. */
export async function changeCurrent(store: SessionStore, id: string, parts: RecordParts) {
  return store.change(id, (await store.read(id))!.revision, parts);
}

export const MODEL = { id: `sha256:${'a'.repeat(64)}`, file: Buffer.from('weights'), createdAtMs: 1, isKept: true };

/** Creates sessions and their model. @returns their ids */
export async function createSessions(store: SessionStore, count: number): Promise<string[]> {
  await whenReached(() => store.models.put(MODEL));
  const ids = Array.from({ length: count }, (_, k) => String.fromCharCode(97 + k).repeat(22));
  for (const id of ids) {
    await whenReached(() => store.create(id, { head: Buffer.from(id), slots: new Map() }, 9e12, MODEL.id));
  }
  return ids;
}

/** On a busy machine a client connects to the last node of a cluster after the time that a call may take. */
async function whenReached<Result>(call: () => Promise<Result>): Promise<Result> {
  const endMs = performance.now() + 15_000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof CarryoverError) || error.applied !== 'no' || performance.now() > endMs) throw error;
    }
  }
}
