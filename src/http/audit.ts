// The audit log: a line for each change of a session or a model that a request has made, but steps: who, what, and what was
// there before and after. It is written when the change is committed, or may have been. A call that is answered as an earlier
// attempt was has changed nothing and has no line.
import type { FastifyBaseLogger, FastifyRequest } from 'fastify';
import { CarryoverError } from '../errors.ts';
import { sessionHash } from '../session-hash.ts';
import type { Session } from '../sessions/session.ts';
import { clientAddress } from './request-end.ts';
import { traceIdOf } from './request.ts';

export type SessionAction = 'create' | 'set' | 'rewind' | 'fork' | 'delete';
export type ModelAction = 'register' | 'move' | 'delete';

interface SessionChange {
  /** Undefined of a session that is created, and of one whose record was damaged. */
  readonly before?: Session | undefined;
  readonly after?: Session | undefined;
  /** The answer did not come in time: the store may have made the change or not. */
  readonly applied?: 'unknown';
}

interface ModelChange {
  /** The id of the model; of a move, to which the name points now. */
  readonly model: string;
  readonly names?: readonly string[];
  /** Of a move: the id to which the name pointed before. */
  readonly before?: string | undefined;
}

export class AuditLog {
  readonly #log: FastifyBaseLogger | undefined;

  /** @param log nothing is written without one */
  constructor(log: FastifyBaseLogger | undefined) {
    this.#log = log;
  }

  /** @param id of the session that the call is about; of a fork, of the one that was forked */
  session(request: FastifyRequest, action: SessionAction, id: string, { before, after, applied }: SessionChange): void {
    if (!this.#log) return;
    const fork = action === 'fork' && after ? sessionHash(after.id) : undefined;
    const { modelId: model } = after ?? before ?? {};
    const line = { session: sessionHash(id), fork, model, before: versionOf(before), after: versionOf(after), applied };
    this.#log.info({ ...whoOf(request), action: `session.${action}`, ...line }, 'audit');
  }

  /** Records a change that has failed, if it may have been made nevertheless, and throws the error. */
  sessionFailure(request: FastifyRequest, action: SessionAction, id: string, change: SessionChange, error: unknown): never {
    const mayBeMade = error instanceof CarryoverError && error.applied === 'unknown';
    if (mayBeMade) this.session(request, action, id, { ...change, applied: 'unknown' });
    throw error;
  }

  model(request: FastifyRequest, action: ModelAction, change: ModelChange): void {
    this.#log?.info({ ...whoOf(request), action: `model.${action}`, ...change }, 'audit');
  }
}

function whoOf(request: FastifyRequest) {
  const { id: reqId, principal } = request;
  const { tenant, name: by } = principal ?? {};
  return { reqId, trace_id: traceIdOf(request), client: clientAddress(request), tenant, by };
}

/** No state: an audit log says that there was a change, not what was computed. */
function versionOf(session: Session | undefined) {
  return session && { t: session.t, version: session.version };
}
