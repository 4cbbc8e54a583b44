// npm run load: how many requests per second the service answers over HTTP, and how fast.
//
// Targets in turn, for several rounds: A B C A B C …  The first one computes nothing, so the
// ratio to it is what a step costs beyond an empty request on the same machine in the same minute.
//
//   node load/load.ts [--url http://…] [--seconds 3] [--rounds 4] [--json FILE]
//
// Without --url it starts its own service, configured by the environment as always. Exit code 1
// if an answer is not 2xx, differs from the reference by a bit, or does not come.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readSafetensors } from '../src/codec/safetensors/read.ts';
import { CONNECTIONS, type Round, fire } from './fire.ts';
import { startServer } from './own-server.ts';
import { runProgram, secondsOf, wholeNumber } from './program.ts';
import { startProgress } from './progress.ts';
import { ratiosOf, spreadOf } from './statistics.ts';
import {
  type StepCase,
  expectRightBits,
  makeStepCase,
  modelBody,
  stepBody,
  stepFile,
} from './step-case.ts';
import { formatNumber, formatTable } from './table.ts';

const WARM_UP_SECONDS = 1;
const JSON_HEADERS = { 'content-type': 'application/json' };
const HEADINGS = ['', 'requests/s', 'min … max', 'p50', 'p90', 'p99', 'MB/s on the wire'];
const COLUMNS: readonly ((round: Round) => number)[] = [
  ({ p50Ms }) => p50Ms,
  ({ p90Ms }) => p90Ms,
  ({ p99Ms }) => p99Ms,
  ({ requestsPerS, requestBytes, answerBytes }) =>
    (requestsPerS * (requestBytes + answerBytes)) / 1e6,
];

interface Target {
  readonly name: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Buffer;
  /** JSON if absent. */
  readonly type?: string;
  readonly stepCase?: StepCase;
}

const FILE_TYPE = 'application/vnd.carryover.safetensors';
const headersOf = ({ type }: Target) => (type ? { 'content-type': type } : JSON_HEADERS);

const CASES = [
  makeStepCase({ N: 1, D: 128, H: 128 }),
  makeStepCase({ N: 32, D: 128, H: 128 }),
];

/** Weights in every request, and the same steps with the weights registered before. */
async function makeTargets(url: string): Promise<readonly Target[]> {
  const models = await Promise.all(CASES.map((stepCase) => registerModel(url, stepCase)));
  return [
    { name: '/health/live', method: 'GET', path: '/health/live' },
    ...CASES.map((stepCase) => stepTarget(stepCase)),
    ...CASES.map((stepCase, i) => stepTarget(stepCase, models[i])),
    ...CASES.map((stepCase, i) => fileTarget(stepCase, models[i]!)),
  ];
}

function stepTarget(stepCase: StepCase, model?: string): Target {
  const { N, weights } = stepCase;
  const source = model === undefined ? 'weights inline' : 'registered model';
  return {
    name: `/v1/step N=${N} D=${weights.D} H=${weights.H}, ${source}`,
    method: 'POST',
    path: '/v1/step',
    body: Buffer.from(stepBody(stepCase, model)),
    stepCase,
  };
}

function fileTarget(stepCase: StepCase, model: string): Target {
  const target = stepTarget(stepCase, model);
  return {
    ...target,
    name: `${target.name}, bytes`,
    type: FILE_TYPE,
    body: stepFile(stepCase, model),
  };
}

/** @returns the model's id */
async function registerModel(url: string, stepCase: StepCase): Promise<string> {
  const answer = await fetch(new URL('/v1/models', url), {
    method: 'POST',
    headers: JSON_HEADERS,
    body: modelBody(stepCase),
  }).catch((cause: unknown) => {
    throw new Error(`No service answers at ${url}.`, { cause });
  });
  if (!answer.ok) throw new Error(`The model was answered ${answer.status}.`);
  return ((await answer.json()) as { id: string }).id;
}

await runProgram(main);

async function main(): Promise<void> {
  const { url, seconds, rounds, json } = readArguments();
  const own = url === undefined ? await startServer() : undefined;
  try {
    const results = await measure((url ?? own?.url)!, seconds, rounds);
    console.log(describe(results));
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
  } finally {
    await own?.stop();
  }
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
  return { url: values.url, seconds, rounds, json: values.json };
}

type Results = readonly { readonly name: string; readonly rounds: Round[] }[];

async function measure(url: string, seconds: number, rounds: number): Promise<Results> {
  const targets = await makeTargets(url);
  const expected = new Map<Target, string | Buffer>();
  for (const target of targets) expected.set(target, await checkAnswer(url, target));
  const results = targets.map(({ name }) => ({ name, rounds: [] as Round[] }));
  const progress = startProgress('measuring', targets.length * (rounds + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    const isWarmUp = round < 0;
    for (const [i, target] of targets.entries()) {
      const duration = isWarmUp ? WARM_UP_SECONDS : seconds;
      const result = await fire(loadOf(url, target, expected.get(target)), duration);
      if (!isWarmUp) results[i]!.rounds.push(result);
      progress.update(++done);
    }
  }
  progress.stop();
  return results;
}

function loadOf(url: string, target: Target, expectBody: string | Buffer | undefined) {
  const { name, method, path, body } = target;
  const given = body ? { body, headers: headersOf(target) } : {};
  return { name, url: new URL(path, url).href, method, ...given, expectBody };
}

/** The answer, once it is known to be right; every later one must equal it. */
async function checkAnswer(url: string, target: Target): Promise<string | Buffer> {
  const { name, method, path, body, type, stepCase } = target;
  const answer = await fetch(new URL(path, url), {
    method,
    ...(body ? { body: new Uint8Array(body), headers: headersOf(target) } : {}),
  }).catch((cause: unknown) => {
    throw new Error(`No service answers at ${url}.`, { cause });
  });
  if (answer.ok && type === FILE_TYPE) {
    const file = Buffer.from(await answer.arrayBuffer());
    const tensors = readSafetensors(file);
    expectRightBits(name, stepCase!, Float32Array.from(tensors.get('h')!.data));
    return file;
  }
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${name} was answered ${answer.status}: ${text}`);
  if (stepCase) {
    const { h } = JSON.parse(text) as { h: number[][] };
    expectRightBits(name, stepCase, Float32Array.from(h.flat()));
  }
  return text;
}

function describe(results: Results): string {
  const baseline = results[0]!.rounds;
  const rows = results.flatMap(({ name, rounds }, i) => [
    figures(name, rounds),
    ...(i === 0 ? [] : [ratios(`  ÷ ${results[0]!.name}`, rounds, baseline)]),
  ]);
  return `
${CONNECTIONS} connections, median of ${baseline.length} rounds, latencies in ms

${formatTable([HEADINGS, ...rows])}
`;
}

function figures(name: string, rounds: readonly Round[]): string[] {
  const { median, min, max } = spreadOf(rounds.map((round) => round.requestsPerS));
  const others = COLUMNS.map((column) => spreadOf(rounds.map(column)).median);
  const range = `${formatNumber(min)} … ${formatNumber(max)}`;
  return [name, formatNumber(median), range, ...others.map(formatNumber)];
}

function ratios(name: string, rounds: readonly Round[], baseline: readonly Round[]): string[] {
  const ratio = (column: (round: Round) => number) =>
    ratiosOf(rounds.map(column), baseline.map(column));
  const others = COLUMNS.map((column) => ratio(column).median);
  const { median, min, max } = ratio(({ requestsPerS }) => requestsPerS);
  const range = `${formatNumber(min)} … ${formatNumber(max)}`;
  return [name, formatNumber(median), range, ...others.map(formatNumber)];
}
