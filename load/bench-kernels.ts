// npm run bench:kernels: the arithmetic alone. Recurrent layers beside onnxruntime-node's operators of the same names,
// or with --layers the other layers beside the product in them.
//
// All run on one thread of one process and alternate, A B A B …, so that what slows the machine for a while slows
// all. Each round also samples sgemm of numpy's BLAS: the practical peak of the core.
//
//   [KERNEL=simd128] node load/bench-kernels.ts [--cell rnn|gru|lstm|all] [--only 'H=64|128,T=1,N=1'] [--layers]
//     [--rounds 7] [--seconds 0.02] [--quick] [--json FILE]
//
// `--seconds` is the length of one sample. Exit code 1 if our bits are not those of the reference, if the states of
// onnxruntime-node are not within 1e-4 of ours and 1e-5 of torch's, or if it is not installed.
import { parseArgs } from 'node:util';
import { allPoints, cellsOf, only, quickPoints } from './kernels/cells.ts';
import { measureLayers } from './kernels/layers.ts';
import { formatLayers } from './kernels/layer-report.ts';
import { measurePoints } from './kernels/measure.ts';
import { figuresOf, formatCell, summaryOf } from './kernels/report.ts';
import { loadOnnxRuntime } from './peers/onnxruntime.ts';
import { INSTALL_SGEMM, startSgemm } from './peers/sgemm.ts';
import { expectTorchVectors } from './peers/torch-vectors.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';

type Arguments = ReturnType<typeof readArguments>;

await runProgram(async () => {
  const options = readArguments();
  await (options.layers ? benchLayers(options) : benchCells(options));
});

async function benchCells({ cells, points, rounds, seconds, json }: Arguments): Promise<void> {
  const onnxRuntime = await loadOnnxRuntime();
  await expectTorchVectors(onnxRuntime);
  const sgemm = await startSgemm();
  if (!sgemm) console.log(`The share of sgemm is left out; to have it: ${INSTALL_SGEMM}`);
  const results = await measurePoints({ points, rounds, seconds, onnxRuntime, sgemm }).finally(() => sgemm?.stop());

  const machine = machineInfo();
  const peers = { 'onnxruntime-node': onnxRuntime.version, sgemm: sgemm?.name };
  const tables = cells.map((cell) => {
    const ofCell = results.filter(({ point }) => point.cell === cell);
    return { results: ofCell, summary: summaryOf(cell, ofCell) };
  });
  console.log(`
${describeMachine(machine)}
peer: onnxruntime-node ${onnxRuntime.version}, one thread${sgemm ? ` · sgemm: ${sgemm.name}` : ''}
median of ${rounds} rounds; ratio = the peer's time ÷ ours, above 1 ours is faster

${tables.map(({ results, summary }) => formatCell(results, summary)).join('\n\n\n')}
`);
  const figures = results.map((result) => ({ ...result, ...figuresOf(result) }));
  const summaries = tables.map(({ summary }) => summary);
  writeReport(json, { machine, peers, rounds, seconds, points: figures, summaries });
}

async function benchLayers({ rounds, seconds, json }: Arguments): Promise<void> {
  const results = await measureLayers({ rounds, seconds });
  const machine = machineInfo();
  console.log(`
${describeMachine(machine)}
median of ${rounds} rounds; time of the layer ÷ that of its product alone

${formatLayers(results)}
`);
  writeReport(json, { machine, rounds, seconds, layers: results });
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      cell: { type: 'string', default: 'all' },
      only: { type: 'string' },
      layers: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string', default: '0.02' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  });
  const { layers, json } = values;
  const cells = cellsOf(values.cell);
  const points = values.quick ? quickPoints(cells) : allPoints(cells);
  return {
    cells,
    points: values.only === undefined ? points : only(points, values.only),
    layers,
    rounds: wholeNumber('rounds', values.rounds ?? (values.quick ? 3 : 7)),
    seconds: secondsOf(values.seconds, 0.001, 60),
    json,
  };
}
