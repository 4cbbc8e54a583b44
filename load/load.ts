// npm run load: requests per second and latency over HTTP, measured with autocannon.
//
// The targets alternate, round by round: A B C A B C … The first target computes nothing, so the ratio to it
// is what a step costs beyond an empty request, on the same machine in the same minute.
//
//   node load/load.ts [--url http://…] [--seconds 3] [--rounds 4] [--json FILE]
//
// Without --url it starts a service of its own, configured by the environment. Exit code 1 if a response is
// not 2xx, differs from the reference by a bit, or does not come.
import { parseArgs } from 'node:util';
import { readSafetensors } from '../src/codec/safetensors/read.ts';
import { expectSameBits } from './cases/same-bits.ts';
import { type StepCase, makeStepCase, stepBody, stepFile } from './cases/step-case.ts';
import { FILE_HEADERS, JSON_HEADERS, get, post, registerModel, stateOfJson } from './clients/api.ts';
import { runAutocannon } from './clients/autocannon.ts';
import { CONNECTIONS, type HttpRound, type HttpTarget } from './clients/http-target.ts';
import { startServer } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { ratiosOf, spreadOf } from './report/statistics.ts';
import { formatNumber, formatTable } from './report/table.ts';

const WARM_UP_SECONDS = 1;
const HEADINGS = ['', 'requests/s', 'min … max', 'p50', 'p90', 'p99', 'MB/s on the wire'];
const COLUMNS: readonly ((round: HttpRound) => number)[] = [
  ({ p50Ms }) => p50Ms,
  ({ p90Ms }) => p90Ms,
  ({ p99Ms }) => p99Ms,
  ({ requestsPerS, requestBytes, responseBytes }) =>
    (requestsPerS * (requestBytes + responseBytes)) / 1e6,
];

const CASES = [
  makeStepCase({ N: 1, D: 128, H: 128 }),
  makeStepCase({ N: 32, D: 128, H: 128 }),
];

interface Result {
  readonly name: string;
  readonly rounds: readonly HttpRound[];
}

await runProgram(main);

async function main(): Promise<void> {
  const { url, seconds, rounds, json } = readArguments();
  await using own = url === undefined ? await startServer() : undefined;
  const results = await measure((url ?? own?.url)!, seconds, rounds);
  console.log(describe(results));
  writeReport(json, results);
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '4' },
      json: { type: 'string' },
    },
  });
  const seconds = secondsOf(values.seconds, 1);
  const rounds = wholeNumber('rounds', values.rounds);
  return { url: values.url?.replace(/\/$/, ''), seconds, rounds, json: values.json };
}

async function measure(url: string, seconds: number, rounds: number): Promise<readonly Result[]> {
  const targets = await makeTargets(url);
  const results = targets.map(({ name }) => ({ name, rounds: [] as HttpRound[] }));
  const progress = startProgress('measuring', targets.length * (rounds + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    const isWarmUp = round < 0;
    for (const [i, target] of targets.entries()) {
      const measured = await runAutocannon(target, isWarmUp ? WARM_UP_SECONDS : seconds);
      if (!isWarmUp) results[i]!.rounds.push(measured);
      progress.update(++done);
    }
  }
  progress.stop();
  return results;
}

/** Steps with the weights in every request, with a registered model, and with that model as bytes. */
async function makeTargets(url: string): Promise<readonly HttpTarget[]> {
  const inline: HttpTarget[] = [];
  const registered: HttpTarget[] = [];
  const bytes: HttpTarget[] = [];
  for (const stepCase of CASES) {
    const model = await registerModel(url, stepCase.weights);
    inline.push(await jsonTarget(url, stepCase));
    registered.push(await jsonTarget(url, stepCase, model));
    bytes.push(await fileTarget(url, stepCase, model));
  }
  const live = `${url}/health/live`;
  const baseline = { name: '/health/live', url: live, method: 'GET' } as const;
  return [{ ...baseline, expectBody: (await get(live)).toString() }, ...inline, ...registered, ...bytes];
}

/** @throws Error unless the service's answer has the bits of the reference */
async function jsonTarget(url: string, stepCase: StepCase, model?: string): Promise<HttpTarget> {
  const name = nameOf(stepCase, model === undefined ? 'weights inline' : 'registered model');
  const body = Buffer.from(stepBody(stepCase, model));
  const target = { name, url: `${url}/v1/step`, method: 'POST', headers: JSON_HEADERS, body } as const;
  const answer = (await post(target.url, body)).toString();
  expectSameBits(`${name}: h`, stateOfJson(answer), stepCase.expected);
  return { ...target, expectBody: answer };
}

/** @throws Error unless the service's answer has the bits of the reference */
async function fileTarget(url: string, stepCase: StepCase, model: string): Promise<HttpTarget> {
  const name = nameOf(stepCase, 'registered model, bytes');
  const body = stepFile(stepCase, model);
  const target = { name, url: `${url}/v1/step`, method: 'POST', headers: FILE_HEADERS, body } as const;
  const answer = await post(target.url, body, FILE_HEADERS);
  const { data } = readSafetensors(answer).get('h')!;
  expectSameBits(`${name}: h`, Float32Array.from(data), stepCase.expected);
  return target;
}

function nameOf({ N, weights: { D, H } }: StepCase, source: string): string {
  return `/v1/step N=${N} D=${D} H=${H}, ${source}`;
}

function describe(results: readonly Result[]): string {
  const baseline = results[0]!;
  const rows = results.flatMap((result) => [
    row(result.name, (column) => spreadOf(result.rounds.map(column))),
    ...(result === baseline ? [] : [ratioRow(result, baseline)]),
  ]);
  return `
${describeMachine(machineInfo())}
autocannon, ${CONNECTIONS} connections, median of ${baseline.rounds.length} rounds, latencies in ms
autocannon decodes each response as UTF-8, 0.8 ms for 66 kB of float32: the rows of bytes show autocannon as well

${formatTable([HEADINGS, ...rows])}
`;
}

function ratioRow({ rounds }: Result, baseline: Result): string[] {
  return row(`  ÷ ${baseline.name}`, (column) =>
    ratiosOf(rounds.map(column), baseline.rounds.map(column)),
  );
}

type Column = (round: HttpRound) => number;

function row(name: string, figure: (column: Column) => ReturnType<typeof spreadOf>): string[] {
  const { median, min, max } = figure(({ requestsPerS }) => requestsPerS);
  const others = COLUMNS.map((column) => figure(column).median);
  const range = `${formatNumber(min)} … ${formatNumber(max)}`;
  return [name, formatNumber(median), range, ...others.map(formatNumber)];
}
