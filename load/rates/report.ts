// Latency against rate as a table.
import { formatNumber, formatTable } from '../../src/cli/table.ts';
import type { OpenRound } from '../clients/open-loop.ts';
import { type RateResult, medianOf } from './measure.ts';

export const PERCENTILES = [
  { name: 'p50', of: ({ p50Ms }: OpenRound) => p50Ms },
  { name: 'p99', of: ({ p99Ms }: OpenRound) => p99Ms },
  { name: 'p99.9', of: ({ p999Ms }: OpenRound) => p999Ms },
] as const;

/** @param steps that a request takes */
export function describeRates(results: readonly RateResult[], steps: number): string {
  const perSteps = steps === 1 ? [] : ['steps/s'];
  const head = ['', 'requests/s', ...perSteps, 'answered/s', ...PERCENTILES.map(({ name }) => name), 'refused', 'not sent'];
  const rows = results.flatMap(({ name, points }) =>
    points.map((rounds, r) => [
      r === 0 ? name : '',
      formatNumber(rounds[0]!.perS),
      ...perSteps.map(() => formatNumber(rounds[0]!.perS * steps)),
      formatNumber(medianOf(rounds, ({ answeredPerS }) => answeredPerS)),
      ...PERCENTILES.map(({ of }) => latency(medianOf(rounds, of))),
      share(rounds, ({ refused }) => refused),
      share(rounds, ({ unsent }) => unsent),
    ]),
  );
  return formatTable([head, ...rows]);
}

function latency(ms: number): string {
  return Number.isNaN(ms) ? '–' : formatNumber(ms);
}

function share(rounds: readonly OpenRound[], of: (round: OpenRound) => number): string {
  const sum = (figure: (round: OpenRound) => number) => rounds.reduce((total, round) => total + figure(round), 0);
  return sum(of) === 0 ? '' : `${formatNumber((100 * sum(of)) / sum(({ count }) => count))} %`;
}
