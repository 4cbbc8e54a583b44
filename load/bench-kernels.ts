// npm run bench:kernels: the arithmetic alone, this project's kernel beside onnxruntime-node's RNN operator.
//
// Both run on one thread of one process and alternate, A B A B …, so that what slows the machine for a while
// slows both. Each round also samples sgemm of numpy's BLAS: the practical peak of the core.
//
//   [KERNEL=simd128] node load/bench-kernels.ts [--rounds 7] [--seconds 0.02] [--quick]
//     [--only 'H=64|128,T=1,N=1'] [--json FILE]
//
// `--seconds` is the length of one sample. Exit code 1 if our bits are not those of the reference, if the
// states of onnxruntime-node are not within 1e-4 of ours, or if it is not installed.
import { parseArgs } from 'node:util';
import { allCells, only, quickCells } from './kernels/cells.ts';
import { measureCells } from './kernels/measure.ts';
import { figuresOf, formatCells, formatSummary, summaryOf } from './kernels/report.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { loadOnnxRuntime } from './peers/onnxruntime.ts';
import { INSTALL_SGEMM, startSgemm } from './peers/sgemm.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';

await runProgram(main);

async function main(): Promise<void> {
  const { cells, rounds, seconds, json } = readArguments();
  const onnxRuntime = await loadOnnxRuntime();
  const sgemm = await startSgemm();
  if (!sgemm) console.log(`The share of sgemm is left out; to have it: ${INSTALL_SGEMM}`);
  const results = await measureCells({ cells, rounds, seconds, onnxRuntime, sgemm }).finally(() =>
    sgemm?.stop(),
  );

  const machine = machineInfo();
  const peers = { 'onnxruntime-node': onnxRuntime.version, sgemm: sgemm?.name };
  const summary = summaryOf(results);
  console.log(`
${describeMachine(machine)}
peer: onnxruntime-node ${onnxRuntime.version}, one thread${sgemm ? ` · sgemm: ${sgemm.name}` : ''}
median of ${rounds} rounds; ratio = the peer's time ÷ ours, above 1 ours is faster

${formatCells(results)}

${formatSummary(summary)}
`);
  const cellsOut = results.map((result) => ({ ...result, ...figuresOf(result) }));
  writeReport(json, { machine, peers, rounds, seconds, cells: cellsOut, summary });
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string', default: '0.02' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const seconds = secondsOf(values.seconds, 0.001, 60);
  const rounds = wholeNumber('rounds', values.rounds ?? (values.quick ? 3 : 7));
  const cells = values.quick ? quickCells() : allCells();
  return {
    cells: values.only === undefined ? cells : only(cells, values.only),
    rounds,
    seconds,
    json: values.json,
  };
}
