// Checks the answers that clients got about one session against the session that is stored in the end.
//
// Every change increments the version, and every answer has the version. So an acknowledged call has its
// place in the history; a version without an acknowledged call is the effect of a call that was applied in
// addition; and replaying the whole history must lead to the stored state.
import type { Layer } from '../../src/layers.ts';
import { type Effect, type Kept, type State, apply } from './replay.ts';
import { bytesOf, digestOf } from './states.ts';

/** A call as its client knows it in the end. */
export interface CallRecord {
  readonly effect: Effect;
  /** The version that the client knew when it sent the first attempt. */
  readonly since: number;
  readonly outcome:
    /** Answered with the version it made. */
    | {
        readonly kind: 'applied';
        readonly version: number;
        readonly t: number;
        readonly digest: string;
      }
    /** Answered with an error that says `applied: "no"`, and not repeated. */
    | { readonly kind: 'refused' }
    /** Never answered, and not repeated. */
    | { readonly kind: 'unknown' };
}

/** A session as it is read in the end. */
export interface StoredSession extends Kept {
  readonly version: number;
}

export interface Verdict {
  acknowledged: number;
  /** Acknowledged, and not in the history. */
  lost: number;
  /** Acknowledged once, and twice in the history. */
  doubled: number;
  /** Refused with `applied: "no"`, and in the history nevertheless. */
  refusedButApplied: number;
  /** Never answered, and in the history. */
  unknownApplied: number;
  /** Changes that no call explains, and states whose bits differ from the replay. */
  wrong: number;
  readonly remarks: string[];
}

export function emptyVerdict(): Verdict {
  return {
    acknowledged: 0,
    lost: 0,
    doubled: 0,
    refusedButApplied: 0,
    unknownApplied: 0,
    wrong: 0,
    remarks: [],
  };
}

/** Most calls that a search for the causes of unacknowledged versions applies. */
const ATTEMPTS_MAX = 20_000;
/** A call is considered as the cause only of versions at most so far from the one it was sent at. */
const NEAR_VERSIONS = 64;

interface Search {
  readonly layers: readonly Layer[];
  readonly calls: readonly CallRecord[];
  /** Calls that have explained another version: none is applied three times. */
  readonly used: Set<CallRecord>;
  /** Whether only paths in the order of sending are searched, which are far fewer. */
  readonly inOrder: boolean;
  attemptsLeft: number;
}

/**
 * Adds the result for one session to `verdict`.
 *
 * @param found undefined if the session does not exist
 * @returns the replayed states, by version
 */
export function checkHistory(
  verdict: Verdict,
  name: string,
  layers: readonly Layer[],
  first: State,
  calls: readonly CallRecord[],
  found: StoredSession | undefined,
): readonly State[] {
  const byVersion = new Map<number, CallRecord>();
  for (const call of calls) {
    if (call.outcome.kind !== 'applied') continue;
    const { version } = call.outcome;
    verdict.acknowledged++;
    const isLost = found === undefined || version > found.version || byVersion.has(version);
    if (isLost) verdict.lost++;
    else byVersion.set(version, call);
  }
  const states = [first];
  if (!found) return states;
  const used = new Set<CallRecord>();
  for (let version = 1; version <= found.version; ) {
    const state = states.at(-1)!;
    const call = byVersion.get(version);
    if (call) {
      const next = apply(layers, state, call.effect);
      if (!next || !isAt(next, call)) {
        verdict.wrong++;
        verdict.remarks.push(`${name}: version ${version} is not what its call makes`);
        return states;
      }
      states.push(next);
      version++;
      continue;
    }
    let end = version + 1;
    while (end <= found.version && !byVersion.has(end)) end++;
    const next = byVersion.get(end);
    const isRight = (reached: State) =>
      next ? leadsTo(layers, reached, next) : isFound(reached, found);
    const near = calls.filter(({ since }) => since < end && end - since <= NEAR_VERSIONS);
    const unanswered = near.filter(({ outcome }) => outcome.kind === 'unknown');
    const length = end - version;
    // The likely causes first, then all that are possible.
    const searches: readonly Search[] = [
      { layers, used, calls: unanswered, inOrder: true, attemptsLeft: ATTEMPTS_MAX },
      { layers, used, calls: unanswered, inOrder: false, attemptsLeft: ATTEMPTS_MAX },
      { layers, used, calls: near, inOrder: false, attemptsLeft: ATTEMPTS_MAX },
    ];
    let path: readonly Explained[] | undefined;
    for (const search of searches) path ??= explain(search, state, length, isRight);
    if (!path) {
      verdict.wrong += length;
      const isGivenUp = searches.some(({ attemptsLeft }) => attemptsLeft === 0);
      verdict.remarks.push(
        `${name}: no call explains the versions ${version} … ${end - 1}` +
          `${isGivenUp ? ` in ${ATTEMPTS_MAX} attempts` : ''}; ${unanswered.length} were not answered`,
      );
      return states;
    }
    for (const { by, reached } of path) {
      used.add(by);
      states.push(reached);
      const what = { applied: 'doubled', refused: 'refusedButApplied', unknown: 'unknownApplied' } as const;
      verdict[what[by.outcome.kind]]++;
      if (by.outcome.kind !== 'unknown') {
        verdict.remarks.push(`${name}: a call that was ${by.outcome.kind} was applied in addition`);
      }
    }
    version = end;
  }
  if (!isFound(states.at(-1)!, found)) {
    verdict.wrong++;
    verdict.remarks.push(`${name}: the state at version ${found.version} has other bits`);
  }
  return states;
}

interface Explained {
  readonly by: CallRecord;
  readonly reached: State;
}

/** Calls that, applied in addition and one after another, lead to a state that `isRight` accepts. */
function explain(
  search: Search,
  state: State,
  length: number,
  isRight: (state: State) => boolean,
  from = 0,
): readonly Explained[] | undefined {
  if (length === 0) return isRight(state) ? [] : undefined;
  const { layers, calls, used, inOrder } = search;
  // Fewer calls than changes explain nothing.
  if (length > calls.length - from) return undefined;
  for (let k = from; k < calls.length; k++) {
    const by = calls[k]!;
    if (used.has(by)) continue;
    if (search.attemptsLeft === 0) return undefined;
    search.attemptsLeft--;
    const reached = apply(layers, state, by.effect);
    if (!reached) continue;
    used.add(by);
    const rest = explain(search, reached, length - 1, isRight, inOrder ? k + 1 : 0);
    used.delete(by);
    if (rest) return [{ by, reached }, ...rest];
  }
  return undefined;
}

function leadsTo(layers: readonly Layer[], state: State, call: CallRecord): boolean {
  const next = apply(layers, state, call.effect);
  return next !== undefined && isAt(next, call);
}

function isAt(state: State, { outcome }: CallRecord): boolean {
  return outcome.kind === 'applied' && outcome.t === state.t && outcome.digest === digestOf(state.states);
}

function isFound(state: State, { t, states }: StoredSession): boolean {
  return state.t === t && bytesOf(state.states).equals(bytesOf(states));
}
