// Steps of a session: computed from its states, printed, and described as the session that follows. Nothing is
// committed here.
import { CarryoverError } from '../errors.ts';
import type { ChangeMetadata } from '../sessions/kept-answer.ts';
import type { SessionChange } from '../sessions/session-change.ts';
import { STEPS_MAX, type Session } from '../sessions/session.ts';
import { advanced } from '../sessions/transitions.ts';
import { sizeOf } from '../tensor.ts';
import type { Engine } from './engine.ts';
import type { RecurrenceTensors } from './result.ts';
import { finalState, initialStates } from './session-state.ts';
import type { RecurrenceInput } from './shapes.ts';

/** What a call on a session brings; the rest of a RecurrenceInput is the session's. */
export type SessionInput = Omit<RecurrenceInput, 'weights' | 'h' | 'c' | 'batch'>;

/** Prints the response to some steps. The tensors are valid until it has settled. */
export type PrintSteps<Printed> = (
  result: RecurrenceTensors,
  after: Session,
  isReplay: boolean,
) => Printed | Promise<Printed>;

/** Steps that were computed and printed. */
export interface Advanced<Printed> {
  readonly printed: Printed;
  /** The session after them, as the response describes it. */
  readonly after: Session;
  /** Whether the call was applied before, and this is its response again. */
  readonly replayed: boolean;
}

/**
 * Computes and prints the steps of x that follow the state `before`. The memory of what was computed is
 * free when this has settled: a commit may take long.
 *
 * @param replayed the metadata of a call that was applied before; else the change is made now
 * @throws what Engine.run and `print` throw
 */
export async function computeSteps<Printed>(
  engine: Engine,
  change: SessionChange,
  before: Session,
  input: SessionInput,
  print: PrintSteps<Printed>,
  replayed?: ChangeMetadata,
): Promise<Advanced<Printed>> {
  expectCountable(before, stepsOf(input));
  const { lifetime } = change.call;
  using result = await engine.run({ ...input, ...sessionInput(before) }, lifetime);
  const metadata = replayed ?? change.newMetadata(before);
  const state = finalState(before, result.states);
  const after = advanced(before, { state, t: before.t + stepsOf(input) }, metadata);
  const isReplay = replayed !== undefined;
  const printed = await print(result, after, isReplay);
  return { printed, after, replayed: isReplay };
}

/**
 * The steps of a call that was applied before, computed again from the state before them.
 *
 * @throws as computeSteps · answer_not_kept · idempotency_key_reused
 */
export async function replaySteps<Printed>(
  engine: Engine,
  change: SessionChange,
  input: SessionInput,
  print: PrintSteps<Printed>,
): Promise<Advanced<Printed>> {
  const { before, metadata } = change.replayedSteps();
  const again = await computeSteps(engine, change, before, input, print, metadata);
  change.expectSameBits(again.after);
  return again;
}

function stepsOf({ x }: SessionInput): number {
  return x.axes.includes('T') ? sizeOf(x, 'T') : 1;
}

/** What a computation takes from its session. */
export function sessionInput(session: Session) {
  const { id, modelId, N } = session;
  return { weights: { modelId }, ...initialStates(session), batch: { N, origin: `session ${id}` } };
}

/** @throws out_of_range */
function expectCountable({ id, t }: Session, T: number): void {
  if (t <= STEPS_MAX - T) return;
  const message =
    `Session ${id} is at t = ${t}; ${T} more steps would go beyond ${STEPS_MAX}, the largest t. ` +
    'PUT /v1/sessions/{id}/state can give the state a smaller one.';
  throw new CarryoverError('out_of_range', {
    detail: message,
    errors: [{ pointer: '/x', message }],
  });
}
