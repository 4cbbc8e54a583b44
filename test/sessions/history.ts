// Checks what clients were told about one session against what became of it.
//
// Every change makes the session's version one more, and every answer tells the version. So what
// was acknowledged stands at its place in the history, a place without an acknowledged call is a
// call that was applied in addition, and replaying all of it must come out at the state that is
// read in the end.
import type { Weights } from '../../src/tensor.ts';
import { type Effect, type State, apply, digestOf } from './replay.ts';

/** What a client knows of one call in the end. */
export interface Told {
  readonly effect: Effect;
  /** The version that the client knew of when it sent the call first. */
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

/** As read in the end; undefined if it is not there. */
export interface Found {
  readonly version: number;
  readonly t: number;
  readonly h: Float32Array;
}

export interface Verdict {
  acknowledged: number;
  /** Acknowledged, and not in the history. */
  lost: number;
  /** Acknowledged once, and twice in the history. */
  doubled: number;
  /** Refused, and in the history all the same. */
  falseNo: number;
  /** Never answered, and in the history. */
  unknownApplied: number;
  /** Changes that no call explains, and states with other bits than the replay. */
  wrong: number;
  readonly remarks: string[];
}

export function emptyVerdict(): Verdict {
  return {
    acknowledged: 0,
    lost: 0,
    doubled: 0,
    falseNo: 0,
    unknownApplied: 0,
    wrong: 0,
    remarks: [],
  };
}

/** So often a search for the causes of versions that nobody was told about applies a call. */
const TRIES_MAX = 20_000;
/** A call is taken for the cause of a version at most so far from the one it was sent at. */
const NEAR_VERSIONS = 64;

interface Search {
  readonly weights: Weights;
  readonly calls: readonly Told[];
  /** Calls that have explained a gap before: nobody applies one a third time. */
  readonly used: Set<Told>;
  /** Whether only paths are looked at whose calls stand in the order they were sent: far fewer. */
  readonly inOrder: boolean;
  triesLeft: number;
}

/** Adds what it finds about one session to `verdict`. @returns the replayed states, by version */
export function checkHistory(
  verdict: Verdict,
  name: string,
  weights: Weights,
  first: State,
  calls: readonly Told[],
  found: Found | undefined,
): readonly State[] {
  const byVersion = new Map<number, Told>();
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
  const used = new Set<Told>();
  for (let version = 1; version <= found.version; ) {
    const state = states.at(-1)!;
    const call = byVersion.get(version);
    if (call) {
      const next = apply(weights, state, call.effect);
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
      next ? leadsTo(weights, reached, next) : isFound(reached, found);
    const near = calls.filter(({ since }) => since < end && end - since <= NEAR_VERSIONS);
    const unanswered = near.filter(({ outcome }) => outcome.kind === 'unknown');
    const length = end - version;
    // What is likely comes first, then what is allowed.
    const searches: readonly Search[] = [
      { weights, used, calls: unanswered, inOrder: true, triesLeft: TRIES_MAX },
      { weights, used, calls: unanswered, inOrder: false, triesLeft: TRIES_MAX },
      { weights, used, calls: near, inOrder: false, triesLeft: TRIES_MAX },
    ];
    let path: readonly Explained[] | undefined;
    for (const search of searches) path ??= explain(search, state, length, isRight);
    if (!path) {
      verdict.wrong += length;
      const isGivenUp = searches.some(({ triesLeft }) => triesLeft === 0);
      verdict.remarks.push(
        `${name}: no call explains the versions ${version} … ${end - 1}` +
          `${isGivenUp ? ` in ${TRIES_MAX} tries` : ''}; ${unanswered.length} were not answered`,
      );
      return states;
    }
    for (const { by, reached } of path) {
      used.add(by);
      states.push(reached);
      const what = { applied: 'doubled', refused: 'falseNo', unknown: 'unknownApplied' } as const;
      verdict[what[by.outcome.kind]]++;
      if (by.outcome.kind !== 'unknown') {
        verdict.remarks.push(`${name}: a call that was ${by.outcome.kind} is there again`);
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
  readonly by: Told;
  readonly reached: State;
}

/** Calls that, applied one after another in addition, lead to a state that is right. */
function explain(
  search: Search,
  state: State,
  length: number,
  isRight: (state: State) => boolean,
  from = 0,
): readonly Explained[] | undefined {
  if (length === 0) return isRight(state) ? [] : undefined;
  const { weights, calls, used, inOrder } = search;
  // Fewer calls than changes explain nothing.
  if (length > calls.length - from) return undefined;
  for (let k = from; k < calls.length; k++) {
    const by = calls[k]!;
    if (used.has(by)) continue;
    if (search.triesLeft === 0) return undefined;
    search.triesLeft--;
    const reached = apply(weights, state, by.effect);
    if (!reached) continue;
    used.add(by);
    const rest = explain(search, reached, length - 1, isRight, inOrder ? k + 1 : 0);
    used.delete(by);
    if (rest) return [{ by, reached }, ...rest];
  }
  return undefined;
}

function leadsTo(weights: Weights, state: State, call: Told): boolean {
  const next = apply(weights, state, call.effect);
  return next !== undefined && isAt(next, call);
}

function isAt(state: State, { outcome }: Told): boolean {
  return outcome.kind === 'applied' && outcome.t === state.t && outcome.digest === digestOf(state);
}

function isFound(state: State, { t, h }: Found): boolean {
  return state.t === t && bytesOf(state.h).equals(bytesOf(h));
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
