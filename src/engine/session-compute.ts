// Calls on a session that need the engine: the session has the model and the states h_{t-1} and c_{t-1}, the call
// brings x_t, and h_t and c_t become the session's states.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { ModelLibrary } from '../models/library.ts';
import type { ModelInfo } from '../models/model-info.ts';
import type { TenantModels } from '../models/tenant-models.ts';
import type { Call, CallResult } from '../sessions/call.ts';
import type { IdempotencyKey, Reply } from '../sessions/kept-answer.ts';
import { expectIfMatch } from '../sessions/precondition.ts';
import type { Session, SessionSpec } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Engine } from './engine.ts';
import type { PinnedModel } from './model-source.ts';
import { registerModel } from './register.ts';
import type { JsonCodec } from './json-codec.ts';
import type { WeightsPacker } from './weights-packer.ts';
import {
  type StateModel,
  expectStateFits,
  expectWholeState,
  readState,
  rowsOf,
  stateSizes,
} from './session-state.ts';
import { type SessionStep, type StepOutcome, advanceTogether } from './session-group.ts';
import { type Advanced, type PrintSteps, type SessionInput, computeSteps, replaySteps } from './session-steps.ts';
import { type Limits, type RecurrenceInput, expectForward } from './shapes.ts';
import type { GivenStates } from './states.ts';

/** How a session begins. */
export interface SessionStart {
  /** If absent, that of the states, or 1. */
  readonly N?: number | undefined;
  /** The first states; zeros where absent. */
  readonly states: GivenStates;
  readonly keep: number;
  readonly ttlMs: number;
}

export interface SessionRequest extends SessionStart {
  readonly weights: Exclude<RecurrenceInput['weights'], PinnedModel>;
  /** A repeated call with this key is answered as before. */
  readonly key: IdempotencyKey | undefined;
  readonly reply: (session: Session) => Reply;
}

export interface SessionComputeParts {
  readonly engine: Engine;
  readonly sessions: Sessions;
  readonly library: ModelLibrary;
  readonly models: TenantModels;
  readonly limits: Limits;
  readonly weightsPacker: WeightsPacker;
  /** Most numbers of a session's states, all rows and layers together. */
  readonly stateNumbersMax: number;
}

/** When the last session with some weights ends, their model is deleted, perhaps just before the next begins. */
const CREATE_ATTEMPTS_MAX = 10;

export class SessionCompute {
  readonly #parts: SessionComputeParts;

  constructor(parts: SessionComputeParts) {
    this.#parts = parts;
  }

  /** Reads and prints the JSON of these calls. */
  get jsonCodec(): JsonCodec {
    return this.#parts.engine.jsonCodec;
  }

  /**
   * A session at t = 0. Inline weights are registered without a name, until their last session ends.
   *
   * @throws model_not_found · shape_mismatch · out_of_range · limit_exceeded · sessions_full ·
   *   models_full · store_full · store_unavailable
   */
  async create(request: SessionRequest, lifetime: Lifetime): Promise<CallResult<Reply>> {
    const { sessions } = this.#parts;
    const { key } = request;
    if (!key) return this.#create(request, lifetime);
    try {
      // First, so that a repeated call neither registers its weights again nor is refused at SESSIONS_MAX.
      return (await sessions.created(key, lifetime.tenant)) ?? (await this.#create(request, lifetime));
    } catch (error) {
      throw error instanceof CarryoverError ? asCreation(error) : error;
    }
  }

  async #create(request: SessionRequest, lifetime: Lifetime): Promise<CallResult<Reply>> {
    const { library, models } = this.#parts;
    const { weights } = request;
    const { tenant } = lifetime;
    if (typeof weights === 'string') {
      return this.#createWith(await models.info(weights, tenant), request, lifetime);
    }
    for (let attempts = 1; ; attempts++) {
      const source = { ...('layers' in weights ? weights : { weights }), isKept: false };
      const { info } = await registerModel(this.#parts, source, lifetime);
      try {
        return await this.#createWith(info, request, lifetime);
      } catch (error) {
        // The last other session with these weights has ended before this one was created.
        const isLost = error instanceof CarryoverError && error.code === 'model_not_found';
        if (isLost && attempts < CREATE_ATTEMPTS_MAX) continue;
        await library.collect(info.id).catch(() => {});
        throw error;
      }
    }
  }

  /**
   * Advances a session by the T steps of x. `print` is given the result while it is valid, before the state
   * is committed, so a response that cannot be printed changes nothing. A call that was answered before is
   * computed again from the state before it, and changes nothing.
   *
   * @throws what Engine.run, Sessions.begin, SessionChange and `print` throw; the session is then as it was,
   *   unless the error's `applied` says otherwise
   */
  async advance<Printed>(
    id: string,
    call: Call,
    input: SessionInput,
    print: PrintSteps<Printed>,
  ): Promise<Advanced<Printed>> {
    const { engine, sessions } = this.#parts;
    using change = await sessions.begin(id, call);
    return await change.retryOnConflict(async () => {
      const session = await change.load();
      if (change.replay) return await replaySteps(engine, change, input, print);
      expectIfMatch(session, call);
      const computed = await computeSteps(engine, change, session, input, print);
      await change.commitSteps(computed.after);
      return computed;
    });
  }

  /**
   * Advances sessions by one step each, those of one model as one mini-batch. None of the promises rejects; what becomes of each
   * is as with advance(). Steps that the outcome leaves undefined have changed nothing: advance() is for them.
   */
  advanceTogether<Printed>(steps: readonly SessionStep<Printed>[]): Promise<StepOutcome<Printed>>[] {
    const { engine, sessions, library, limits } = this.#parts;
    return advanceTogether({ engine, sessions, registry: library.registry, limits }, steps);
  }

  /**
   * The states that a call puts in place of a session's.
   *
   * @throws shape_mismatch · out_of_range · model_corrupt · store_unavailable
   */
  async readState(given: GivenStates, session: Session): Promise<Float32Array> {
    const { id, N } = session;
    const model = await this.#modelOf(session);
    expectWholeState(given, model);
    return readState(given, N, model, `session ${id} has N = ${N}`);
  }

  /** How many axes the x of a step has: (N, D), or (N) of row numbers of an embedding. @throws as readState */
  async stepAxesOf(session: Session): Promise<1 | 2> {
    return stepAxesOfModel(await this.#modelOf(session));
  }

  /** stepAxesOf() of a session that is in memory with its model; else undefined. */
  stepAxesIfCached(id: string): 1 | 2 | undefined {
    const { sessions, library } = this.#parts;
    const modelId = sessions.modelIfCached(id);
    if (modelId === undefined || !library.registry.has(modelId)) return undefined;
    return stepAxesOfModel(library.registry.model(modelId));
  }

  async #modelOf({ modelId }: Session): Promise<StateModel> {
    const { library } = this.#parts;
    await library.ensure(modelId);
    return { layers: library.registry.model(modelId).layers, origin: `model ${modelId}` };
  }

  /**
   * What a session with a registered model begins with.
   *
   * @throws model_unsupported · shape_mismatch · out_of_range · limit_exceeded
   */
  specOf({ id: modelId, D, H }: ModelInfo, { N: wantedN, states: given, keep, ttlMs }: SessionStart): SessionSpec {
    const { library, limits, stateNumbersMax } = this.#parts;
    const { layers } = library.registry.model(modelId);
    expectForward(layers, 'a session goes on from step to step: send whole sequences to POST /v1/sequence');
    const N = wantedN ?? rowsOf(given) ?? 1;
    expectStateFits(N, layers, limits.N, stateNumbersMax);
    const because = `${wantedN === undefined ? 'the first state' : 'N'} makes N = ${N}`;
    const state = readState(given, N, { layers, origin: 'the model' }, because);
    return { modelId, N, D, H, states: stateSizes(layers), keep, ttlMs, state };
  }

  async #createWith(model: ModelInfo, request: SessionRequest, { record, tenant }: Lifetime): Promise<CallResult<Reply>> {
    const { sessions } = this.#parts;
    const { key, reply } = request;
    const spec = this.specOf(model, request);
    if (key) return sessions.createOnce(spec, key, reply, tenant, record);
    return { value: reply(await sessions.create(spec, tenant, record)), replayed: false };
  }
}

function stepAxesOfModel({ layers }: Pick<StateModel, 'layers'>): 1 | 2 {
  return layers[0]!.type === 'embedding' ? 1 : 2;
}

/** The error of a call with a key that creates a session, with what is known of the call. */
function asCreation(error: CarryoverError): CarryoverError {
  // The session was made, and has ended or was damaged since.
  if (error.code === 'session_gone' || error.code === 'session_corrupt') return error.withApplied('yes');
  // A call that is refused with 4xx was refused at every attempt, unless that is because of a limit. After any other error the same call may be
  // running in another process.
  return error.withApplied(error.kind.status < 500 && error.code !== 'rate_limited' ? 'no' : 'unknown');
}
