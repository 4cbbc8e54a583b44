// npm run bench:floor: a step in JSON, N=1, D=H=128, with a registered model, beside a Fastify that parses the same bytes,
// computes nothing and answers as many.
//
//   node load/bench-floor.ts [--rounds 7] [--seconds 2] [--quick] [--json FILE]
//
// Exit code 1 if an answer is wrong. A missed target is printed and does not change the exit code.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runClosedLoop } from '../src/cli/bench/closed-loop.ts';
import { CONNECTIONS, type HttpTarget } from '../src/cli/bench/http-target.ts';
import { expectSameBits } from '../src/cli/bench/same-bits.ts';
import { ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { makeStepCase, modelBody, stepBody } from '../src/cli/bench/step-case.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';
import { JSON_HEADERS, post, stateOfJson } from './clients/api.ts';
import { cpuTimeMs } from './processes/cpu-time.ts';
import { startServer, startServerProcess } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { ROUND_OPTIONS, runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { atLeast, formatTargets } from './report/targets.ts';

const RATIO_MIN = 0.85;
const STEP = makeStepCase({ N: 1, D: 128, H: 128 });

interface Sample {
  readonly requestsPerS: number;
  /** Processor time of the server, of all its threads, in µs. */
  readonly cpuUsPerRequest: number;
}

await runProgram(main);

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { ...ROUND_OPTIONS, json: { type: 'string' } } });
  const rounds = wholeNumber('rounds', values.rounds ?? (values.quick ? 2 : 7));
  const seconds = secondsOf(values.seconds ?? (values.quick ? 1 : 2), 0.5);
  await using service = await startServer();
  const file = join(import.meta.dirname, 'floor/fastify-server.ts');
  await using fastify = await startServerProcess({ name: 'Fastify', file, readyPath: '/' });
  const target = await makeTarget(service.url);
  await put(`${fastify.url}/answer`, target.expectBody);
  const contenders = [
    { name: 'Fastify, nothing computed', server: fastify, target: { ...target, url: `${fastify.url}/v1/step` }, samples: [] as Sample[] },
    { name: 'POST /v1/step', server: service, target, samples: [] as Sample[] },
  ];
  const progress = await startProgress('floor', contenders.length * (rounds + 1));
  // Round -1 warms up. It is as long as the others: V8 optimises for seconds.
  for (let round = -1; round < rounds; round++) {
    for (const [k, { server, target: own, samples }] of contenders.entries()) {
      const beforeMs = cpuTimeMs(server.pid);
      const { requestsPerS } = await runClosedLoop(own, seconds);
      const cpuMs = cpuTimeMs(server.pid) - beforeMs;
      if (round >= 0) samples.push({ requestsPerS, cpuUsPerRequest: (1_000 * cpuMs) / (requestsPerS * seconds) });
      progress.update((round + 1) * contenders.length + k + 1);
    }
  }
  progress.stop();
  const machine = machineInfo();
  const [floor, step] = contenders.map(({ samples }) => samples);
  const ratio = ratiosOf(requestsOf(step!), requestsOf(floor!));
  const rows = contenders.map(({ name, samples }) => [
    name,
    formatNumber(spreadOf(requestsOf(samples)).median),
    formatNumber(spreadOf(samples.map(({ cpuUsPerRequest }) => cpuUsPerRequest)).median),
  ]);
  console.log(`
${describeMachine(machine)}
N=1, D=H=128, ${target.body.length} bytes in JSON and ${target.expectBody.length} back, ${CONNECTIONS} connections; median of ${rounds} rounds of ${seconds} s

${formatTable([['', 'requests/s', 'CPU µs'], ...rows])}

${formatTargets([atLeast('POST /v1/step ÷ Fastify: requests/s', ratio.median, RATIO_MIN)!])}
(${ratio.min.toFixed(2)} … ${ratio.max.toFixed(2)} within a round)
`);
  writeReport(values.json, { machine, rounds, seconds, floor, step });
}

function requestsOf(samples: readonly Sample[]): number[] {
  return samples.map(({ requestsPerS }) => requestsPerS);
}

/** @throws Error unless the answer has the bits of the reference */
async function makeTarget(url: string): Promise<HttpTarget & { readonly body: Buffer; readonly expectBody: string }> {
  const { id } = JSON.parse((await post(`${url}/v1/models`, modelBody(STEP), JSON_HEADERS)).toString()) as { id: string };
  const body = Buffer.from(stepBody(STEP, id));
  const expectBody = (await post(`${url}/v1/step`, body, JSON_HEADERS)).toString();
  expectSameBits('POST /v1/step', stateOfJson(expectBody), STEP.expected);
  return { name: 'POST /v1/step', url: `${url}/v1/step`, method: 'POST', headers: JSON_HEADERS, body, expectBody };
}

async function put(url: string, body: string): Promise<void> {
  const response = await fetch(url, { method: 'PUT', headers: { 'content-type': 'text/plain' }, body });
  if (!response.ok) throw new Error(`PUT ${url} was answered with ${response.status}.`);
}
