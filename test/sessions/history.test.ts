// The check of histories itself: each kind of planted fault must be counted as what it is.
import { describe, expect, test } from 'vitest';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type StoredSession, type CallRecord, checkHistory, emptyVerdict } from './history.ts';
import { MODELS } from './models.ts';
import { type Effect, type State, apply, firstState } from './replay.ts';
import { type States, bytesOf, digestOf, randomStates } from './states.ts';

// The fewest states, and the most.
describe.each([MODELS[0]!, MODELS[3]!])('of $name', ({ layers, D }) => {
  const FIRST = firstState(layers, 2);
  const row = (x: number) => new Float32Array(D).fill(1).with(0, x);
  const step = (x: number): Effect => ({ kind: 'advance', xs: [row(x)] });
  const EFFECTS: readonly Effect[] = [
    step(1),
    step(2),
    { kind: 'rewind', t: 1 },
    { kind: 'put', states: randomStates(layers, pseudoRandom(1)), t: 9 },
    { kind: 'advance', xs: [row(1.5), row(2.5)] },
    step(3),
  ];

  /** Applies the effects. Those that are not unrecorded become calls with this outcome. */
  function makeHistory(events: readonly (readonly [Effect, CallRecord['outcome']['kind'] | 'unrecorded'])[]) {
    let state: State = FIRST;
    let version = 0;
    let since = 0;
    const calls: CallRecord[] = [];
    for (const [effect, kind] of events) {
      state = apply(layers, state, effect)!;
      version++;
      const { t } = state;
      if (kind === 'applied') {
        calls.push({ effect, since, outcome: { kind, version, t, digest: digestOf(state.states) } });
        since = version;
      } else if (kind !== 'unrecorded') calls.push({ effect, since, outcome: { kind } });
    }
    return { calls, found: { version, t: state.t, states: state.states } as StoredSession };
  }

  function verdictOn({ calls, found }: { calls: readonly CallRecord[]; found: StoredSession | undefined }) {
    const verdict = emptyVerdict();
    checkHistory(verdict, 'session', layers, FIRST, calls, found);
    const { remarks: _remarks, acknowledged: _acknowledged, ...counts } = verdict;
    return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
  }

  const correct = EFFECTS.map((effect) => [effect, 'applied'] as const);

  test('a correct history has no fault', () => {
    expect(verdictOn(makeHistory(correct))).toEqual({});
    expect(verdictOn({ calls: [], found: { version: 0, t: 0, states: FIRST.states } })).toEqual({});
  });

  // A rewind removes the state that it restores, so it cannot be applied twice.
  const repeatable = [...EFFECTS.keys()].filter((at) => EFFECTS[at]!.kind !== 'rewind');

  test.each(repeatable)('call %i that was applied twice is found', (at) => {
    const twice = correct.toSpliced(at + 1, 0, [EFFECTS[at]!, 'unrecorded'] as never);
    expect(verdictOn(makeHistory(twice))).toEqual({ doubled: 1 });
  });

  // The call behind it must depend on its effect; a rewind and a replaced state would not.
  test('a call that was refused or never answered, and was applied, is counted', () => {
    const refused = correct.with(4, [EFFECTS[4]!, 'refused'] as never);
    expect(verdictOn(makeHistory(refused))).toEqual({ refusedButApplied: 1 });
    const unknown = correct.with(4, [EFFECTS[4]!, 'unknown'] as never);
    expect(verdictOn(makeHistory(unknown))).toEqual({ unknownApplied: 1 });
    const last = correct.with(-1, [EFFECTS.at(-1)!, 'unknown'] as never);
    expect(verdictOn(makeHistory(last))).toEqual({ unknownApplied: 1 });
  });

  test('many calls in a row that were never answered, some of them applied, are counted', () => {
    const unanswered = Array.from({ length: 12 }, (_, k) => [step(k + 1), 'unknown'] as const);
    expect(verdictOn(makeHistory(unanswered))).toEqual({ unknownApplied: 12 });
    expect(verdictOn(makeHistory([...unanswered, [step(20), 'applied']]))).toEqual({ unknownApplied: 12 });
    const { calls } = makeHistory(unanswered);
    const { found } = makeHistory(unanswered.filter((_, k) => k % 4 !== 2));
    expect(verdictOn({ calls, found })).toEqual({ unknownApplied: 9 });
  });

  test('one of many unanswered calls in a row that was applied twice is found', () => {
    const unanswered = Array.from({ length: 5 }, (_, k) => [step(k + 1), 'unknown'] as const);
    const { calls } = makeHistory(unanswered);
    const { found } = makeHistory(unanswered.toSpliced(3, 0, unanswered[2]!));
    expect(verdictOn({ calls, found })).toEqual({ wrong: 6 });
  });

  test('a change that no call explains is found', () => {
    const unexplained = correct.with(4, [EFFECTS[4]!, 'unrecorded'] as never);
    expect(verdictOn(makeHistory(unexplained))).toEqual({ wrong: 1 });
  });

  test('an acknowledged change that is lost is found: the end, a version given twice, the whole session', () => {
    const { calls } = makeHistory(correct);
    const { found } = makeHistory(correct.slice(0, 4));
    expect(verdictOn({ calls, found })).toEqual({ lost: 2 });
    const again = [...calls, calls[3]!];
    expect(verdictOn({ calls: again, found: makeHistory(correct).found })).toEqual({ lost: 1 });
    expect(verdictOn({ calls, found: undefined })).toEqual({ lost: 6 });
  });

  test('one wrong bit of any state, or of the digest in an answer, is found', () => {
    const { calls, found } = makeHistory(correct);
    for (let at = 0; at < bytesOf(found.states).length; at += 5) {
      const states = withWrongBit(found.states, at);
      expect(verdictOn({ calls, found: { ...found, states } })).toEqual({ wrong: 1 });
    }
    const outcome = { ...calls[2]!.outcome, digest: '0000000000000000' };
    const altered = calls.with(2, { ...calls[2]!, outcome });
    expect(verdictOn({ calls: altered, found })).toEqual({ wrong: 1 });
  });
});

/** In byte number `at` of all states. */
function withWrongBit(states: States, at: number): States {
  const bytes = bytesOf(states);
  bytes[at]! ^= 1;
  let end = 0;
  const copy = ({ length }: Float32Array) => {
    const begin = end;
    end += length * 4;
    return new Float32Array(Uint8Array.from(bytes.subarray(begin, end)).buffer);
  };
  return { h: states.h.map(copy), c: states.c.map((c) => c && copy(c)) };
}
