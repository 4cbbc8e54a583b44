// npm run bench:scaling: throughput of the scheduler and its pool of workers against the number of
// workers, N, H and T, with several jobs in flight; and how long one job takes alone.
//
//   [KERNEL=simd128] node load/scaling.ts [--rounds 5] [--seconds 0.3] [--quick] [--out load/results]
//
// Writes scaling.svg and, beside it, scaling.json with every number. `--seconds` is the length of
// one sample. Exit code 1 if a state has not the bits of the reference.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine, machineFacts } from './machine.ts';
import { runProgram, secondsOf, wholeNumber } from './program.ts';
import { measureScaling } from './scaling/measure.ts';
import { plotScaling } from './scaling/plot.ts';
import { BASE, workerCounts } from './scaling/points.ts';
import { type ScalingReport, formatAlone, formatReport, formatSizes } from './scaling/report.ts';

await runProgram(main);

async function main(): Promise<void> {
  const { rounds, seconds, out } = readArguments();
  const machine = machineFacts();
  const counts = workerCounts(machine.cores);
  const date = new Date().toISOString();
  const measured = await measureScaling({ workerCounts: counts, rounds, seconds });
  const report: ScalingReport = {
    machine,
    date,
    rounds,
    seconds,
    workerCounts: counts,
    ...measured,
  };
  console.log(`
${describeMachine(machine)}
base point ${formatSizes(BASE)}, one axis at a time; median of ${rounds} rounds

${formatReport(report)}

${formatAlone(report)}
`);
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'scaling.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(out, 'scaling.svg'), plotScaling(report));
  console.log(`Written: ${join(out, 'scaling.svg')} and scaling.json beside it`);
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      out: { type: 'string', default: 'load/results' },
    },
  });
  const seconds = secondsOf(values.seconds ?? (values.quick ? 0.05 : 0.3), 0.001, 60);
  const rounds = wholeNumber('rounds', values.rounds ?? (values.quick ? 2 : 5));
  return { rounds, seconds, out: values.out };
}
