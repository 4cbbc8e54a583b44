// npm run verify:onnx: the layers that are read from each file of fixtures/onnx, and from fixtures/cells as ONNX files,
// compute what onnxruntime-node computes of the same file. Prints the largest difference of each, in units in the last place of the number and of 1.
import { type OnnxRuntime, SESSION_OPTIONS, importOnnxRuntime, onnxRuntimeManifest } from '../../../../load/peers/onnxruntime.ts';
import { layersJson } from '../../../../load/cases/layers-json.ts';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readOnnx } from '../../../../src/models/import/onnx/read-onnx.ts';
import { referenceModel } from '../../../../src/wasm/reference/model.ts';
import { type CellVector, readCells } from '../../../helpers/cells.ts';
import type { LayerJson } from '../../../helpers/framework-files.ts';
import { layersOf } from '../../../helpers/model-layers.ts';
import { onnxFile } from '../../../helpers/onnx-graph.ts';
import { type ExportedFile, compute, exportedFiles, flat, shapeOf } from './exported.ts';

/** Units in the last place of 1. Each adds in another order, which shows most where sums are of large numbers. */
const DIFFERENCE_MAX = 16;
const ULP_OF_ONE = 2 ** -23;

interface Difference {
  /** Units in the last place of the number itself, which is large for a sum near 0. */
  readonly ulp: number;
  readonly ulpOfOne: number;
}

/** A file, its inputs, and what the layers that are read from it compute of them. */
interface Verified {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly inputs: Readonly<Record<string, { readonly numbers: readonly number[]; readonly shape: readonly number[] }>>;
  readonly areRows: boolean;
  /** In the order of the file's outputs. */
  readonly outputs: readonly Float32Array[];
}

function ofExport(file: ExportedFile): Verified {
  const { name, bytes, inputs } = file;
  const { layers, outputs } = compute(file);
  const tensors = Object.entries(inputs).map(([key, value]) => [key, { numbers: flat(value), shape: shapeOf(value) }]);
  const areRows = layers[0]!.type === 'embedding';
  return { name, bytes, inputs: Object.fromEntries(tensors), areRows, outputs: Object.values(outputs) };
}

/** fixtures/cells as helpers/onnx-graph.ts writes them, from zeros; all steps of each row. */
function ofCell({ name, layers, input: { T, N, x } }: CellVector): Verified {
  const bytes = onnxFile(layersJson(layers) as LayerJson[]);
  const read = layersOf(importFound(readOnnx(bytes)).layers);
  const { hs, ys = hs } = referenceModel(read, { T, N, x });
  const areRows = layers[0]!.type === 'embedding';
  const shape = areRows ? [T, N] : [T, N, x.length / T / N];
  return { name: `cells/${name}`, bytes, inputs: { x: { numbers: [...x], shape } }, areRows, outputs: [ys] };
}

async function run({ InferenceSession, Tensor }: OnnxRuntime, { bytes, inputs, areRows }: Verified) {
  const session = await InferenceSession.create(bytes, SESSION_OPTIONS);
  const feeds = session.inputNames.map((name) => {
    const { numbers, shape } = inputs[name]!;
    const isRows = name === 'x' && areRows;
    const tensor = isRows
      ? new Tensor('int64', BigInt64Array.from(numbers, BigInt), shape)
      : new Tensor('float32', Float32Array.from(numbers), shape);
    return [name, tensor] as const;
  });
  const outputs = await session.run(Object.fromEntries(feeds), session.outputNames);
  const results = session.outputNames.map((name) => outputs[name]!.data);
  await session.release();
  return results;
}

function differenceOf(ours: Float32Array, theirs: Float32Array): Difference {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} numbers, expected ${theirs.length}`);
  let [ulp, ulpOfOne] = [0, 0];
  for (const [i, value] of ours.entries()) {
    const difference = Math.abs(value - theirs[i]!);
    const unit = 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(value)))) - 23);
    ulp = Math.max(ulp, difference / unit);
    ulpOfOne = Math.max(ulpOfOne, difference / ULP_OF_ONE);
  }
  return { ulp, ulpOfOne };
}

const runtime = await importOnnxRuntime();
process.stdout.write(`onnxruntime-node ${onnxRuntimeManifest().version}\n\n| file | ulp | ulp of 1 |\n|---|---|---|\n`);
let worst = 0;
for (const file of [...exportedFiles().map(ofExport), ...readCells().map(ofCell)]) {
  const theirs = await run(runtime, file);
  const differences = file.outputs.map((ours, i) => differenceOf(ours, theirs[i]!));
  const ulp = Math.max(...differences.map((difference) => difference.ulp));
  const ulpOfOne = Math.max(...differences.map((difference) => difference.ulpOfOne));
  worst = Math.max(worst, ulpOfOne);
  process.stdout.write(`| ${file.name} | ${ulp.toFixed(0)} | ${ulpOfOne.toFixed(2)} |\n`);
}
const isRight = worst <= DIFFERENCE_MAX;
process.stdout.write(`\nlargest difference: ${worst.toFixed(2)} ulp of 1, ${isRight ? 'within' : 'beyond'} ${DIFFERENCE_MAX}\n`);
process.exitCode = isRight ? 0 : 1;
