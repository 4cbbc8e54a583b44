// npm run load: requests per second and latency over HTTP. It is the table of `carryover bench` (src/cli/bench/), measured
// with another generator, autocannon.
//
//   node load/load.ts [--url http://…] [--seconds 3] [--rounds 4] [--json FILE]
//
// Without --url it starts a service of its own, configured by the environment. Exit code 1 if a response is
// not 2xx, differs from the reference by a bit, or does not come.
import { parseArgs } from 'node:util';
import { type TargetResult, describeResults, measure, measurementsOf } from '../src/cli/bench/measure.ts';
import { makeTargets } from '../src/cli/bench/targets.ts';
import { runAutocannon } from './clients/autocannon.ts';
import { startServer } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';

await runProgram(main);

async function main(): Promise<void> {
  const { url, seconds, rounds, json } = readArguments();
  await using own = url === undefined ? await startServer() : undefined;
  await using made = await makeTargets((url ?? own?.url)!);
  const { targets } = made;
  const progress = await startProgress('measuring', measurementsOf(targets.length, rounds));
  const onProgress = (done: number) => progress.update(done);
  const results = await measure(targets, { seconds, rounds, generator: runAutocannon, onProgress });
  progress.stop();
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

function describe(results: readonly TargetResult[]): string {
  return `
${describeMachine(machineInfo())}
autocannon decodes each response as UTF-8, 0.8 ms for 66 kB of float32: the rows of bytes show autocannon as well
${describeResults(results, 'autocannon')}
`;
}
