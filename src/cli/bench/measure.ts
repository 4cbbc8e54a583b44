// Requests per second and latency of each target, in rounds. The targets alternate, round by round: A B C A B C … The
// first one computes nothing, so the ratio to it is what a step costs beyond an empty request, on the same machine in the
// same minute.
import { formatNumber, formatTable } from '../table.ts';
import { CONNECTIONS, type HttpRound, type HttpTarget } from './http-target.ts';
import { ratiosOf, spreadOf } from './statistics.ts';

const WARM_UP_SECONDS = 1;
const HEADINGS = ['', 'requests/s', 'min … max', 'p50', 'p90', 'p99', 'MB/s on the wire'];
const COLUMNS: readonly ((round: HttpRound) => number)[] = [
  ({ p50Ms }) => p50Ms,
  ({ p90Ms }) => p90Ms,
  ({ p99Ms }) => p99Ms,
  ({ requestsPerS, requestBytes, responseBytes }) => (requestsPerS * (requestBytes + responseBytes)) / 1e6,
];

export interface TargetResult {
  readonly name: string;
  readonly rounds: readonly HttpRound[];
}

/** Sends requests for some seconds, one after the other on each connection. */
export type Generator = (target: HttpTarget, seconds: number) => Promise<HttpRound>;

export interface Rounds {
  /** Of one target in one round. */
  readonly seconds: number;
  readonly rounds: number;
  readonly generator: Generator;
  /** Called after each measurement, of those that measurementsOf() counts; may throw to end. */
  readonly onProgress: (done: number) => void;
}

/** With the warm-up. */
export const measurementsOf = (targets: number, rounds: number) => targets * (rounds + 1);

/** @throws Error if a response is not 2xx, is not the expected one, or does not come */
export async function measure(
  targets: readonly HttpTarget[],
  { seconds, rounds, generator, onProgress }: Rounds,
): Promise<readonly TargetResult[]> {
  const results = targets.map(({ name }) => ({ name, rounds: [] as HttpRound[] }));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    const isWarmUp = round < 0;
    for (const [i, target] of targets.entries()) {
      const measured = await generator(target, isWarmUp ? Math.min(seconds, WARM_UP_SECONDS) : seconds);
      if (!isWarmUp) results[i]!.rounds.push(measured);
      onProgress(++done);
    }
  }
  return results;
}

/** @param generator its name */
export function describeResults(results: readonly TargetResult[], generator: string): string {
  const baseline = results[0]!;
  const rows = results.flatMap((result) => [
    row(result.name, (column) => spreadOf(result.rounds.map(column))),
    ...(result === baseline ? [] : [ratioRow(result, baseline)]),
  ]);
  return `${generator}, ${CONNECTIONS} connections, median of ${baseline.rounds.length} rounds, latencies in ms

${formatTable([HEADINGS, ...rows])}`;
}

function ratioRow({ rounds }: TargetResult, baseline: TargetResult): string[] {
  return row(`  ÷ ${baseline.name}`, (column) => ratiosOf(rounds.map(column), baseline.rounds.map(column)));
}

type Column = (round: HttpRound) => number;

function row(name: string, figure: (column: Column) => ReturnType<typeof spreadOf>): string[] {
  const { median, min, max } = figure(({ requestsPerS }) => requestsPerS);
  const others = COLUMNS.map((column) => figure(column).median);
  const range = `${formatNumber(min)} … ${formatNumber(max)}`;
  return [name, formatNumber(median), range, ...others.map(formatNumber)];
}
