// The check of histories itself: each kind of fault, planted, must be counted as what it is.
import { expect, test } from 'vitest';
import { type Found, type Told, checkHistory, emptyVerdict } from './history.ts';
import { type Effect, type State, apply, digestOf, firstState, randomWeights } from './replay.ts';

const WEIGHTS = randomWeights(2, 5, 1);
const FIRST = firstState(5, 2);

const step = (x: number): Effect => ({ kind: 'advance', xs: [Float32Array.of(x, 1)] });
const EFFECTS: readonly Effect[] = [
  step(1),
  step(2),
  { kind: 'rewind', t: 1 },
  { kind: 'put', h: Float32Array.of(1, 2, 3, 4, 5), t: 9 },
  { kind: 'advance', xs: [Float32Array.of(1, 2), Float32Array.of(3, 4)] },
  step(3),
];

/** Applies the effects, and tells of those that have an outcome. */
function live(events: readonly (readonly [Effect, Told['outcome']['kind'] | 'untold'])[]) {
  let state: State = FIRST;
  let version = 0;
  let since = 0;
  const calls: Told[] = [];
  for (const [effect, kind] of events) {
    state = apply(WEIGHTS, state, effect)!;
    version++;
    const { t } = state;
    if (kind === 'applied') {
      calls.push({ effect, since, outcome: { kind, version, t, digest: digestOf(state) } });
      since = version;
    } else if (kind !== 'untold') calls.push({ effect, since, outcome: { kind } });
  }
  return { calls, found: { version, t: state.t, h: state.h } as Found };
}

function verdictOn({ calls, found }: { calls: readonly Told[]; found: Found | undefined }) {
  const verdict = emptyVerdict();
  checkHistory(verdict, 'session', WEIGHTS, FIRST, calls, found);
  const { remarks: _remarks, acknowledged: _acknowledged, ...counts } = verdict;
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
}

const right = EFFECTS.map((effect) => [effect, 'applied'] as const);

test('a right history has no fault', () => {
  expect(verdictOn(live(right))).toEqual({});
  expect(verdictOn({ calls: [], found: { version: 0, t: 0, h: FIRST.h } })).toEqual({});
});

// A rewind drops the state it went to, so it cannot be applied twice.
const repeatable = [...EFFECTS.keys()].filter((at) => EFFECTS[at]!.kind !== 'rewind');

test.each(repeatable)('call %i applied twice is doubled', (at) => {
  const twice = right.toSpliced(at + 1, 0, [EFFECTS[at]!, 'untold'] as never);
  expect(verdictOn(live(twice))).toEqual({ doubled: 1 });
});

// What comes after it must depend on it: a rewind and a state put in place do not.
test('a call that was refused or never answered, and is there', () => {
  const refused = right.with(4, [EFFECTS[4]!, 'refused'] as never);
  expect(verdictOn(live(refused))).toEqual({ falseNo: 1 });
  const unknown = right.with(4, [EFFECTS[4]!, 'unknown'] as never);
  expect(verdictOn(live(unknown))).toEqual({ unknownApplied: 1 });
  const last = right.with(-1, [EFFECTS.at(-1)!, 'unknown'] as never);
  expect(verdictOn(live(last))).toEqual({ unknownApplied: 1 });
});

test('many calls in a row that were never answered, some of them there', () => {
  const unanswered = Array.from({ length: 12 }, (_, k) => [step(k + 1), 'unknown'] as const);
  expect(verdictOn(live(unanswered))).toEqual({ unknownApplied: 12 });
  expect(verdictOn(live([...unanswered, [step(20), 'applied']]))).toEqual({ unknownApplied: 12 });
  const { calls } = live(unanswered);
  const { found } = live(unanswered.filter((_, k) => k % 4 !== 2));
  expect(verdictOn({ calls, found })).toEqual({ unknownApplied: 9 });
});

test('of many calls in a row that were never answered, one is there twice', () => {
  const unanswered = Array.from({ length: 5 }, (_, k) => [step(k + 1), 'unknown'] as const);
  const { calls } = live(unanswered);
  const { found } = live(unanswered.toSpliced(3, 0, unanswered[2]!));
  expect(verdictOn({ calls, found })).toEqual({ wrong: 6 });
});

test('a change that no call explains', () => {
  const strange = right.with(4, [EFFECTS[4]!, 'untold'] as never);
  expect(verdictOn(live(strange))).toEqual({ wrong: 1 });
});

test('acknowledged and lost: the end, a version given twice, the whole session', () => {
  const { calls } = live(right);
  const { found } = live(right.slice(0, 4));
  expect(verdictOn({ calls, found })).toEqual({ lost: 2 });
  const again = [...calls, calls[3]!];
  expect(verdictOn({ calls: again, found: live(right).found })).toEqual({ lost: 1 });
  expect(verdictOn({ calls, found: undefined })).toEqual({ lost: 6 });
});

test('one bit of the state, or of a digest on the way', () => {
  const { calls, found } = live(right);
  const h = Float32Array.from(found.h);
  new Uint32Array(h.buffer)[2]! ^= 1;
  expect(verdictOn({ calls, found: { ...found, h } })).toEqual({ wrong: 1 });
  const outcome = { ...calls[2]!.outcome, digest: '0000000000000000' };
  const altered = calls.with(2, { ...calls[2]!, outcome });
  expect(verdictOn({ calls: altered, found })).toEqual({ wrong: 1 });
});
