// What calls on a session are answered with.
import type { CellStates, States } from './computation.ts';
import type { Tensor } from './tensor.ts';
import type { Trace } from './trace.ts';
import type { SessionInfo, SessionMark } from './types.ts';

export interface SessionStep {
  /** After the step, (N, H); of several layers a list. */
  readonly h: States;
  /** Of a model with an lstm. */
  readonly c?: CellStates;
  /** (N, O), if layers are behind the last recurrent one. */
  readonly y?: Tensor;
  readonly trace?: Trace;
  /** The state at which the session is. */
  readonly session: SessionMark;
}

export interface SessionSequence {
  /** (T, N, H) of the last recurrent layer. */
  readonly hs?: Tensor;
  readonly h?: States;
  readonly c?: CellStates;
  /** (T, N, O) */
  readonly ys?: Tensor;
  readonly y?: Tensor;
  readonly trace?: Trace;
  readonly session: SessionMark;
}

/** A session with its states. */
export interface SessionState extends SessionInfo {
  readonly h: States;
  readonly c?: CellStates;
  /** Steps to which rewind() can go, oldest first. */
  readonly kept: readonly number[];
}
