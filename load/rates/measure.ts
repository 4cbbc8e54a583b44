// Latency of each variant at each rate. The variants alternate, and the rounds pass over all rates, so that a minute in which the
// machine does other things does not meet one variant or one rate alone.
import { runClosedLoop } from '../../src/cli/bench/closed-loop.ts';
import { spreadOf } from '../../src/cli/bench/statistics.ts';
import { type OpenRound, runOpenLoop } from '../clients/open-loop.ts';
import type { Variant } from './variants.ts';

export interface RateOptions {
  /** Requests a second; undefined for shares of the capacity. */
  readonly rates: readonly number[] | undefined;
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  /** Of the closed loop before; 2 if absent. */
  readonly capacitySeconds?: number;
  /** Called after each measurement. */
  readonly onProgress: (done: number) => void;
}

export interface RateResult {
  readonly name: string;
  /** Requests a second of a closed loop, at the first of its services alone. */
  readonly capacityPerS: number;
  /** Of each rate, the rounds. */
  readonly points: readonly (readonly OpenRound[])[];
}

/** Of the largest capacity of a variant; beyond 1 a queue grows for as long as requests arrive. */
const SHARES = [0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.1];
const CAPACITY_SECONDS = 2;

export function rateMeasurementsOf({ rates, rounds }: Pick<RateOptions, 'rates' | 'rounds'>, variants: number): number {
  return rounds * (rates ?? SHARES).length * variants;
}

/** @throws Error if a response is not the expected one, or does not come */
export async function measureRates(variants: readonly Variant[], options: RateOptions): Promise<readonly RateResult[]> {
  const { seconds, rounds, connections, capacitySeconds = CAPACITY_SECONDS, onProgress } = options;
  const capacities: number[] = [];
  for (const { cases } of variants) {
    // It is the warm-up as well.
    const each: number[] = [];
    for (const { target } of cases) each.push((await runClosedLoop(target, capacitySeconds)).requestsPerS);
    capacities.push(each[0]!);
  }
  const rates = options.rates ?? SHARES.map((share) => twoDigits(share * Math.max(...capacities)));
  const points = variants.map(() => rates.map((): OpenRound[] => []));
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const [r, perS] of rates.entries()) {
      for (const [v, { cases }] of variants.entries()) {
        const targets = cases.map(({ target }) => target);
        points[v]![r]!.push(await runOpenLoop(targets, { perS, seconds, connections: Math.ceil(connections / targets.length) }));
        onProgress(++done);
      }
    }
  }
  for (const { cases } of variants) for (const { check } of cases) await check();
  return variants.map(({ name }, v) => ({ name, capacityPerS: capacities[v]!, points: points[v]! }));
}

/** The median of the rounds of a point. */
export function medianOf(rounds: readonly OpenRound[], figure: (round: OpenRound) => number): number {
  return spreadOf(rounds.map(figure)).median;
}

function twoDigits(value: number): number {
  return Math.max(1, Number(value.toPrecision(2)));
}
