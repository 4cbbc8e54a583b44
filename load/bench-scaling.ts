// npm run bench:scaling: throughput of the scheduler and its pool against the number of workers, N, H and T, with
// several jobs in flight; and two workers against one, with several jobs in flight and for one job alone, beside
// two processes that share nothing against one.
//
//   [KERNEL=simd128] node load/bench-scaling.ts [--rounds 5] [--seconds 0.3] [--quick] [--pair]
//     [--out load/results]
//
// Writes scaling.svg and, beside it, scaling.json with every number; `--pair` only measures two workers against one
// and writes nothing. `--seconds` is the length of one sample. Exit code 1 if a state differs from the reference by a
// bit.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine, machineInfo } from './report/machine.ts';
import { ROUND_OPTIONS, runProgram, secondsOf, wholeNumber } from './report/program.ts';
import { measureScaling } from './scaling/measure.ts';
import { plotScaling } from './scaling/plot.ts';
import { BASE, allShapes, workerCounts } from './scaling/points.ts';
import { type ScalingReport, formatPair, formatReport, formatSizes } from './scaling/report.ts';

await runProgram(main);

async function main(): Promise<void> {
  const { rounds, seconds, pair, out } = readArguments();
  const machine = machineInfo();
  const counts = workerCounts(machine.cores);
  const date = new Date().toISOString();
  const shapes = pair ? [] : allShapes();
  const measured = await measureScaling({ shapes, workerCounts: counts, rounds, seconds });
  if (pair) {
    console.log(`\n${describeMachine(machine)}\n\n${formatPair(measured)}\n`);
    return;
  }
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

${formatPair(report)}
`);
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'scaling.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(out, 'scaling.svg'), plotScaling(report));
  console.log(`Written: ${join(out, 'scaling.svg')} and scaling.json beside it`);
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      ...ROUND_OPTIONS,
      pair: { type: 'boolean', default: false },
      out: { type: 'string', default: 'load/results' },
    },
  });
  const seconds = secondsOf(values.seconds ?? (values.quick ? 0.05 : 0.3), 0.001, 60);
  const rounds = wholeNumber('rounds', values.rounds ?? (values.quick ? 2 : 5));
  return { rounds, seconds, pair: values.pair, out: values.out };
}
