// npm run load: requests per second and latency over HTTP.
//
//   node load/load.ts [--open] [--mode steps|sessions|batch] … (--help lists the options)
//
// The closed loop of steps is the table of `carryover bench` (src/cli/bench/), measured with another generator, autocannon. The
// other modes and the open loop are measured with the generator of `carryover bench`; clients/open-loop.ts says why.
// Exit code 1 if a response is not 2xx, differs from the reference by a bit, or does not come, or if sessions have not taken
// exactly the steps that were answered. In the open loop 429 and 503 are counted.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runClosedLoop } from '../src/cli/bench/closed-loop.ts';
import { type TargetResult, describeResults, measure, measurementsOf } from '../src/cli/bench/measure.ts';
import { makeTargets } from '../src/cli/bench/targets.ts';
import { runAutocannon } from './clients/autocannon.ts';
import { startServer } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { runProgram, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { describeCase, makeCase } from './rates/cases.ts';
import { measureRates, rateMeasurementsOf } from './rates/measure.ts';
import { HELP, type LoadOptions, readLoadOptions } from './rates/options.ts';
import { plotRates } from './rates/plot.ts';
import { describeRates } from './rates/report.ts';
import { startVariants } from './rates/variants.ts';

await runProgram(main);

async function main(): Promise<void> {
  const options = readLoadOptions(process.argv.slice(2));
  if (!options) return console.log(HELP);
  return options.isOpen ? openLoop(options) : closedLoop(options);
}

async function closedLoop(options: LoadOptions): Promise<void> {
  const { url, seconds, rounds, mode, json } = options;
  await using own = url === undefined ? await startServer() : undefined;
  const address = (url ?? own?.url)!;
  await using made = await makeTargets(address);
  const ofSessions = mode === 'steps' ? undefined : await makeCase(address, options);
  const targets = ofSessions ? [made.targets[0]!, ofSessions.target] : made.targets;
  const progress = await startProgress('measuring', measurementsOf(targets.length, rounds));
  const onProgress = (done: number) => progress.update(done);
  const generator = ofSessions ? runClosedLoop : runAutocannon;
  const results = await measure(targets, { seconds, rounds, generator, onProgress });
  progress.stop();
  await ofSessions?.check();
  console.log(ofSessions ? describeSessions(results, options) : describeSteps(results));
  writeReport(json, results);
}

async function openLoop(options: LoadOptions): Promise<void> {
  const { mode, out, json, connections, seconds, rounds } = options;
  await using started = await startVariants(options, options);
  const { variants, skipped } = started;
  for (const line of skipped) console.error(line);
  if (variants.length === 0) throw new Error('No service is left to be measured.');
  const progress = await startProgress('measuring', rateMeasurementsOf(options, variants.length));
  const results = await measureRates(variants, { ...options, onProgress: (done) => progress.update(done) });
  progress.stop();
  const machine = describeMachine(machineInfo());
  const how = `${connections} connections, median of rounds (${rounds}) of ${seconds} s; latencies in ms from when a request was due`;
  console.log(`\n${machine}\n${describeCase(options)}\n${how}\n\n${describeRates(results, variants[0]!.cases[0]!.steps)}\n`);
  const file = join(out, `load-${mode}.svg`);
  mkdirSync(out, { recursive: true });
  writeFileSync(file, plotRates(results, { title: 'Latency against rate', notes: [describeCase(options), how, machine] }));
  console.log(`The chart is in ${file}.`);
  writeReport(json, results);
}

function describeSteps(results: readonly TargetResult[]): string {
  return `
${describeMachine(machineInfo())}
autocannon decodes each response as UTF-8, 0.8 ms for 66 kB of float32: the rows of bytes show autocannon as well
${describeResults(results, 'autocannon')}
`;
}

function describeSessions(results: readonly TargetResult[], options: LoadOptions): string {
  return `
${describeMachine(machineInfo())}
${describeCase(options)}; each session took the steps that were answered, with the bits of the reference
${describeResults(results, 'plain sockets')}
`;
}
