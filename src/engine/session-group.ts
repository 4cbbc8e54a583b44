// Steps of several sessions that have come together: those of one model are computed as one mini-batch, and each is
// committed by itself. For each of them it is as if it had been advanced alone (SessionCompute.advance), in bits and in
// effects, as nothing but a commit is decided here: whatever is not the ordinary case, such as a session that another call
// holds or that is not in memory, a key that was used, an If-Match that names another state, or a mini-batch that fails,
// leaves the session as it was, and is for its caller to advance alone.
//
//   lock → look at the session in memory → charge each → compute all rows → print each → commit each → release the locks
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { LayerSpec } from '../layers.ts';
import type { ModelRegistry } from '../models/registry.ts';
import { meetsIfMatch } from '../sessions/precondition.ts';
import type { Call } from '../sessions/call.ts';
import type { SessionChange } from '../sessions/session-change.ts';
import { STEPS_MAX, type Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { advanced } from '../sessions/transitions.ts';
import { numbersOf } from '../tensor.ts';
import type { Job } from '../wasm/job.ts';
import type { Engine } from './engine.ts';
import { type RecurrenceTensors, stepRows } from './result.ts';
import { copyStatesToRows, finalState } from './session-state.ts';
import { type Advanced, type PrintSteps, type SessionInput, sessionInput } from './session-steps.ts';
import { type Limits, resolveSizes } from './shapes.ts';
import { toTokens } from './tokens.ts';

/** A step of a session, and how its answer is printed; see SessionCompute.advance. */
export interface SessionStep<Printed> {
  readonly id: string;
  readonly call: Call;
  readonly input: SessionInput;
  readonly print: PrintSteps<Printed>;
}

/** What has become of a step; undefined if nothing has, and it is to be advanced alone. */
export type StepOutcome<Printed> = PromiseSettledResult<Advanced<Printed>> | undefined;

export interface SessionGroupParts {
  readonly engine: Engine;
  readonly sessions: Sessions;
  readonly registry: ModelRegistry;
  readonly limits: Limits;
}

/** A step whose session is locked and in memory. */
interface BegunStep<Printed> {
  readonly step: SessionStep<Printed>;
  readonly change: SessionChange;
  readonly session: Session;
  /** Releases the lock, and says what has become of the step. */
  readonly settle: (outcome: StepOutcome<Printed>) => void;
}

/** Steps of sessions with one model and one N. */
type Group<Printed> = readonly BegunStep<Printed>[];

/** What is to be answered to the steps of a group: a result that is to be committed, or a refusal. */
type Answers<Printed> = Map<BegunStep<Printed>, StepOutcome<Printed>>;

/** Numbers of the states of a group, and of its x: reading, printing and storing them takes some 3 ms of this thread, in pieces. */
const GROUP_NUMBERS_MAX = 65_536;

/**
 * Advances sessions by one step each. None of the promises rejects, and none of them waits for others but for those that are
 * computed together with it.
 *
 * @returns in the order of the steps
 */
export function advanceTogether<Printed>(
  parts: SessionGroupParts,
  steps: readonly SessionStep<Printed>[],
): Promise<StepOutcome<Printed>>[] {
  const begun: BegunStep<Printed>[] = [];
  const outcomes = steps.map((step) => {
    const { promise, resolve } = Promise.withResolvers<StepOutcome<Printed>>();
    const one = begin(parts, step, resolve);
    if (one) begun.push(one);
    else resolve(undefined);
    return promise;
  });
  void advanceGroups(parts, begun);
  return outcomes;
}

/** Does not reject. */
async function advanceGroups<Printed>(parts: SessionGroupParts, begun: Group<Printed>): Promise<void> {
  const alike = Map.groupBy(begun, ({ session: { modelId, N } }) => `${modelId} ${N}`).values();
  const groups = [...alike].flatMap((all) => inGroups(parts, all));
  for (const [k, group] of groups.entries()) {
    if (k > 0) await nextIteration();
    void advanceGroup(parts, group);
  }
}

/** Locks the session of a step; undefined, and the lock is free, if the step must be advanced alone. */
function begin<Printed>(
  { sessions, registry }: SessionGroupParts,
  step: SessionStep<Printed>,
  resolve: (outcome: StepOutcome<Printed>) => void,
): BegunStep<Printed> | undefined {
  const { id, call, input } = step;
  using unused = new DisposableStack();
  const change = sessions.tryBegin(id, call);
  if (!change) return undefined;
  unused.use(change);
  const session = change.loadCached();
  if (!session || !meetsIfMatch(session, call) || !registry.has(session.modelId)) return undefined;
  const [first] = registry.model(session.modelId).layers;
  if (!isPlainStep(input, session, first!) || session.t >= STEPS_MAX) return undefined;
  unused.move();
  const settle = (outcome: StepOutcome<Printed>) => {
    change[Symbol.dispose]();
    resolve(outcome);
  };
  return { step, change, session, settle };
}

/** Whether the input is x of the session's N rows, and only the states and outputs after it are wanted. */
function isPlainStep({ x, keepsStates, trace, lengths, outputs }: SessionInput, { N, D }: Session, first: LayerSpec): boolean {
  if (keepsStates || trace || lengths || outputs) return false;
  const { axes, shape } = x;
  return shape[0] === N && (first.type === 'embedding' ? axes === 'N' : axes === 'ND' && shape[1] === D);
}

/** Divides steps of one model and N by the rows and numbers that a mini-batch may have. One step alone is no group. */
function inGroups<Printed>({ engine }: SessionGroupParts, all: Group<Printed>): Group<Printed>[] {
  const { session, step } = all[0]!;
  const { modelId, N, state } = session;
  const numbers = Math.max(state.length, numbersOf(step.input.x));
  const size = Math.floor(Math.min(engine.rowsMaxTogether(modelId) / N, GROUP_NUMBERS_MAX / numbers));
  const groups: Group<Printed>[] = [];
  for (let start = 0; start < all.length; start += Math.max(1, size)) {
    const group = all.slice(start, start + Math.max(1, size));
    if (group.length > 1) groups.push(group);
    else group[0]!.settle(undefined);
  }
  return groups;
}

/** Does not reject. A commit that takes long keeps no other step waiting. */
async function advanceGroup<Printed>(parts: SessionGroupParts, group: Group<Printed>): Promise<void> {
  const answers: Answers<Printed> = new Map();
  try {
    const charged = await chargeEach(group, flopsOf(parts, group), answers);
    if (charged.length > 1) await computeAndPrint(parts, charged, answers);
  } catch {
    // Those without an answer are advanced alone, and meet what was thrown there.
  }
  for (const begun of group) void commit(begun, answers.get(begun)).then(begun.settle);
}

/** Does not reject. @param answer undefined if the step has none */
async function commit<Printed>(
  { change }: BegunStep<Printed>,
  answer: StepOutcome<Printed>,
): Promise<StepOutcome<Printed>> {
  if (!answer) return undefined;
  try {
    const isDone = await change.tryOnce(async () => {
      if (answer.status === 'rejected') throw answer.reason;
      await change.commitSteps(answer.value.after);
    });
    return isDone ? answer : undefined;
  } catch (reason) {
    return { status: 'rejected', reason };
  }
}

/** Operations of each step of a group. @throws as resolveSizes */
function flopsOf<Printed>({ registry, limits }: SessionGroupParts, [first]: Group<Printed>): number {
  const { session, step } = first!;
  const { modelId } = session;
  const model = { layers: registry.model(modelId).layers, origin: `model ${modelId}` };
  // They all have the shape of the first.
  return resolveSizes({ ...step.input, ...sessionInput(session) }, model, limits).cost.flops;
}

/**
 * Computes the steps of a group, and adds their answers; not those that cannot be read or printed. Nothing is committed. The
 * memory of what was computed is free when this has settled.
 *
 * @throws as Engine.runTogether, of all of them
 */
async function computeAndPrint<Printed>(
  { engine, registry }: SessionGroupParts,
  group: Group<Printed>,
  answers: Answers<Printed>,
): Promise<void> {
  const { session: first, step: firstStep } = group[0]!;
  const { modelId, N } = first;
  const { layers } = registry.model(modelId);
  const unread = new Set<BegunStep<Printed>>();
  // Of the call that has come first: its deadline is the earliest.
  const lifetime = firstStep.call.lifetime.share();
  const { trace } = firstStep.call.lifetime.record;
  lifetime.record.trace = trace;
  const startMs = performance.now();
  using result = await engine.runTogether(modelId, { steps: group.length, N }, (job) => fill(job, layers[0]!, group, unread), lifetime);
  const { queueMs, computeMs } = lifetime.record;
  const printing = group.map(async (begun, k) => {
    const { record } = begun.step.call.lifetime;
    Object.assign(record, { N, T: 1, modelId });
    record.queueMs += queueMs;
    record.computeMs += computeMs;
    if (record.trace !== trace) record.trace?.add('compute', startMs);
    const value = unread.has(begun) ? undefined : await printStep(begun, stepRows(result, k * N, N));
    if (value) answers.set(begun, { status: 'fulfilled', value });
  });
  await Promise.all(printing);
}

/**
 * Charges each step by itself, so that a rate is used up by the same step as if they came one by one. What is paid is also
 * paid for a step that is to be advanced alone after all.
 *
 * @param answers is given the first refusal
 * @returns the steps before the one that is refused; those behind it are to be charged when they are advanced alone
 */
async function chargeEach<Printed>(
  group: Group<Printed>,
  flops: number,
  answers: Answers<Printed>,
): Promise<Group<Printed>> {
  for (const [k, begun] of group.entries()) {
    const { lifetime } = begun.step.call;
    try {
      const charged = lifetime.chargeFlops(flops);
      if (charged) await charged;
      lifetime.prepay(flops);
    } catch (reason) {
      answers.set(begun, { status: 'rejected', reason });
      return group.slice(0, k);
    }
  }
  return group;
}

/**
 * Writes x and the states of all steps to the rows of their mini-batch.
 *
 * @param layer the first of the model
 * @param unread is given the steps whose x is refused
 */
function fill<Printed>(job: Job, layer: LayerSpec, group: Group<Printed>, unread: Set<BegunStep<Printed>>): void {
  const columns = job.x.length / job.N;
  for (const [k, begun] of group.entries()) {
    const { session, step } = begun;
    const { N } = session;
    const { x } = step.input;
    const numbers = job.x.subarray(k * N * columns, (k + 1) * N * columns);
    copyStatesToRows(session, job.states, k * N);
    try {
      x.copyTo(numbers);
      if (layer.type === 'embedding') void toTokens(x, numbers, job.ids.subarray(k * N, (k + 1) * N), layer.V);
    } catch {
      // The row of an embedding must be one that there is, also where nobody reads its outputs.
      numbers.fill(0);
      unread.add(begun);
    }
  }
}

/** @returns undefined if it cannot be printed */
async function printStep<Printed>(
  { change, session, step }: BegunStep<Printed>,
  rows: RecurrenceTensors,
): Promise<Advanced<Printed> | undefined> {
  try {
    const state = finalState(session, rows.states);
    const after = advanced(session, { state, t: session.t + 1 }, change.newMetadata(session));
    const printing = step.print(rows, after, false);
    const printed = printing instanceof Promise ? await printing : printing;
    return { printed, after, replayed: false };
  } catch {
    return undefined;
  }
}
