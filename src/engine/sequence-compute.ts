// Sequences: sessions that clients name by ids of their own, as in the Open Inference Protocol. The id of the session
// follows from the tenant, the model and the id of the sequence (sessions/ids.ts), so every process finds the same one,
// also after a restart.
//
//   start        the states begin anew; a session that has the id has ended
//   in between   steps of that session
//   end          the last steps; the session has ended when they are answered
//
// The first steps are computed before anything is stored, and the last ones before the session ends: a call that is refused
// changes nothing.
import { CarryoverError, invalidRequest } from '../errors.ts';
import type { TenantModels } from '../models/tenant-models.ts';
import type { Call } from '../sessions/call.ts';
import { expectDeletedBy } from '../sessions/idempotency.ts';
import { expectIfMatch } from '../sessions/precondition.ts';
import { isTombstone } from '../sessions/record.ts';
import type { SessionChange } from '../sessions/session-change.ts';
import type { Session, Tombstone } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { sizeOf } from '../tensor.ts';
import type { Engine } from './engine.ts';
import type { SessionCompute } from './session-compute.ts';
import { type Advanced, type PrintSteps, type SessionInput, computeSteps, replaySteps } from './session-steps.ts';
import type { GivenStates } from './states.ts';

export interface SequenceCall {
  /** The model, by the name or id that the client uses: sequences of two names are two sequences. */
  readonly model: string;
  /** The id as JSON: `42` and `"42"` are two sequences. */
  readonly id: string;
  readonly starts: boolean;
  readonly ends: boolean;
  /** Of a session that starts, after the last of its steps. */
  readonly ttlMs: number;
}

export interface SequenceSteps<Printed> extends Advanced<Printed> {
  /** The session that has ended because this call has started or ended the sequence. */
  readonly ended: Session | undefined;
}

export interface SequenceComputeParts {
  readonly engine: Engine;
  readonly sessions: Sessions;
  readonly sessionCompute: SessionCompute;
  readonly models: TenantModels;
}

export class SequenceCompute {
  readonly #parts: SequenceComputeParts;

  constructor(parts: SequenceComputeParts) {
    this.#parts = parts;
  }

  /**
   * Advances a sequence by the steps of x. `print` is given the result before anything is stored.
   *
   * @param given the states to start with; zeros where absent
   * @throws invalid_request if the sequence has not started, or has ended · as SessionCompute.advance and create
   */
  async advance<Printed>(
    sequence: SequenceCall,
    call: Call,
    input: SessionInput,
    given: GivenStates,
    print: PrintSteps<Printed>,
  ): Promise<SequenceSteps<Printed>> {
    const { sessions } = this.#parts;
    const { model, id, starts } = sequence;
    const sessionId = await sessions.sequenceId(`${JSON.stringify(model)}/${id}`, call.lifetime.tenant);
    using change = await sessions.begin(sessionId, call);
    return await change.retryOnConflict(async () => {
      const found = await change.find();
      if (change.replay) return { ...(await replaySteps(this.#parts.engine, change, input, print)), ended: undefined };
      const session = found && !isTombstone(found) ? found : undefined;
      if (starts) return await this.#start(change, sequence, session, input, given, print);
      if (!session) throw notStarted(sequence, call, found as Tombstone | undefined);
      return await this.#continue(change, sequence, session, input, print);
    });
  }

  async #start<Printed>(
    change: SessionChange,
    { model, ends, ttlMs }: SequenceCall,
    before: Session | undefined,
    input: SessionInput,
    states: GivenStates,
    print: PrintSteps<Printed>,
  ): Promise<SequenceSteps<Printed>> {
    const { engine, models, sessionCompute } = this.#parts;
    const info = await models.info(model, change.call.lifetime.tenant);
    const spec = sessionCompute.specOf(info, { N: sizeOf(input.x, 'N'), states, keep: 0, ttlMs });
    const first = change.newSession(spec);
    const computed = await computeSteps(engine, change, first, input, print);
    if (ends) await change.end(before?.t ?? 0);
    else await change.commitAnew(first, computed.after);
    return { ...computed, ended: before };
  }

  async #continue<Printed>(
    change: SessionChange,
    { ends }: SequenceCall,
    session: Session,
    input: SessionInput,
    print: PrintSteps<Printed>,
  ): Promise<SequenceSteps<Printed>> {
    expectIfMatch(session, change.call);
    const computed = await computeSteps(this.#parts.engine, change, session, input, print);
    if (ends) await change.end(computed.after.t);
    else await change.commitSteps(computed.after);
    return { ...computed, ended: ends ? session : undefined };
  }
}

/** The error for a call that does not start a sequence of which there is no session: Triton's sentence, and the reason. */
function notStarted({ model, id }: SequenceCall, call: Call, tombstone: Tombstone | undefined): CarryoverError {
  if (tombstone && call.key && tombstone.deletion?.key === call.key.key) {
    expectDeletedBy(call, tombstone);
    return new CarryoverError('answer_not_kept', {
      detail: `This call has ended sequence ${id} of model '${model}', and counted. Its answer cannot be given again.`,
      applied: 'yes',
    });
  }
  return invalidRequest(
    `inference request for sequence ${id} to model '${model}' must specify the START flag on the first request of the ` +
      `sequence. ${reasonOf(tombstone)} Send sequence_start: true to begin it.`,
  );
}

function reasonOf(tombstone: Tombstone | undefined): string {
  if (!tombstone) {
    return (
      'There is no sequence with this id: none was started under this name of the model, or it began and ended in one request, ' +
      'or it ended more than TOMBSTONE_S ago. A number and a string are two ids.'
    );
  }
  const { reason, atMs, t } = tombstone;
  const steps = t === undefined ? '' : ` after ${t} steps`;
  const how = reason === 'deleted' ? 'was ended' : 'has expired, because no request came for too long (SESSION_TTL_S),';
  return `The sequence ${how}${steps} at ${new Date(atMs).toISOString()}.`;
}
