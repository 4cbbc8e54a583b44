// Random moves: what a command does, before it is known which session it will find. `at` chooses a session,
// `…Seed` the numbers.
import { fc } from '../../helpers/seed.ts';
import { MODELS } from '../models.ts';
import { ANSWERS_MAX, type Operation } from './model.ts';

export type Precondition = 'none' | 'fresh' | 'stale' | 'other' | 'any';

export type Move =
  | {
      readonly kind: 'create';
      /** Index in MODELS. */
      readonly modelAt: number;
      readonly keep: number;
      readonly ttl_s: number;
      /** Of the first states; 0: zeros, and none are sent. */
      readonly seed: number;
    }
  | {
      readonly kind: 'call';
      readonly at: number;
      readonly operation: Operation;
      readonly isKeyed: boolean;
      readonly precondition: Precondition;
    }
  /** One of the last calls sent with a key, once more, with the same body or another. */
  | {
      readonly kind: 'retry';
      readonly at: number;
      readonly which: number;
      readonly hasSameBody: boolean;
    }
  /** The same call from several clients at once. */
  | { readonly kind: 'concurrent'; readonly at: number; readonly count: number; readonly xSeed: number }
  /** So many steps with a key each that earlier keys are forgotten. */
  | { readonly kind: 'burst'; readonly at: number; readonly count: number }
  | { readonly kind: 'read'; readonly at: number }
  | { readonly kind: 'list'; readonly limit: number }
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'restart' }
  /** The store as it is now, and back to it: what came between is lost. */
  | { readonly kind: 'save' }
  | { readonly kind: 'restore' };

const at = fc.nat(7);
const seed = fc.nat(1_000);
const call = fc.record({
  kind: fc.constant('call' as const),
  at,
  isKeyed: fc.boolean(),
  precondition: fc.oneof(
    { weight: 3, arbitrary: fc.constant<Precondition>('none') },
    { weight: 4, arbitrary: fc.constantFrom<Precondition>('fresh', 'stale', 'other', 'any') },
  ),
  operation: fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('step' as const), xSeed: seed }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('sequence' as const),
        xSeed: seed,
        T: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        seed,
        t: fc.option(fc.nat(5), { nil: undefined }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('rewind' as const), back: fc.nat(4) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('fork' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const) }) },
  ),
});

/**
 * @param restartWeight of 100 commands so many restart the service, about
 * @param losses and so many save the store, or take it back to what was saved
 */
export function movesOf(restartWeight: number, losses = 0): fc.Arbitrary<Move> {
  return fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        kind: fc.constant('create' as const),
        modelAt: fc.nat(MODELS.length - 1),
        keep: fc.constantFrom(0, 1, 3),
        ttl_s: fc.constantFrom(10, 100, 100_000),
        seed: fc.nat(3),
      }),
    },
    { weight: 50, arbitrary: call },
    {
      weight: 15,
      arbitrary: fc.record({
        kind: fc.constant('retry' as const),
        at,
        which: fc.oneof(fc.nat(3), fc.nat(ANSWERS_MAX + 1)),
        hasSameBody: fc.constantFrom(true, true, false),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('concurrent' as const),
        at,
        count: fc.integer({ min: 2, max: 4 }),
        xSeed: seed,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('burst' as const),
        at,
        count: fc.constantFrom(5, ANSWERS_MAX - 1, ANSWERS_MAX),
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('read' as const), at }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('list' as const),
        limit: fc.constantFrom(1, 3, 1_000),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('wait' as const),
        seconds: fc.constantFrom(0.5, 9, 11, 60, 3_000, 4_000),
      }),
    },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('sweep' as const) }) },
    { weight: restartWeight, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
    { weight: losses, arbitrary: fc.record({ kind: fc.constant('save' as const) }) },
    { weight: losses, arbitrary: fc.record({ kind: fc.constant('restore' as const) }) },
  );
}

