// npm run verify:onnx: the layers that are read from each file of fixtures/onnx compute what onnxruntime-node computes of
// the same file. Prints the largest difference of each, in units in the last place of the number and of 1.
import { type OnnxRuntime, SESSION_OPTIONS, importOnnxRuntime, onnxRuntimeManifest } from '../../../../load/peers/onnxruntime.ts';
import { type ExportedFile, compute, exportedFiles, flat, shapeOf } from './exported.ts';

/** Units in the last place of 1. Each adds in another order, and has its own tanh, sigmoid and exp. */
const DIFFERENCE_MAX = 8;
const ULP_OF_ONE = 2 ** -23;

interface Difference {
  /** Units in the last place of the number itself, which is large for a sum near 0. */
  readonly ulp: number;
  readonly ulpOfOne: number;
}

async function outputsOf({ InferenceSession, Tensor }: OnnxRuntime, { bytes, inputs }: ExportedFile) {
  const session = await InferenceSession.create(bytes, SESSION_OPTIONS);
  const feeds = session.inputNames.map((name) => {
    const [numbers, shape] = [flat(inputs[name]!), shapeOf(inputs[name]!)];
    const areRows = name === 'x' && numbers.every(Number.isInteger);
    const tensor = areRows
      ? new Tensor('int64', BigInt64Array.from(numbers, BigInt), shape)
      : new Tensor('float32', Float32Array.from(numbers), shape);
    return [name, tensor] as const;
  });
  const outputs = await session.run(Object.fromEntries(feeds), session.outputNames);
  await session.release();
  return outputs;
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
for (const file of exportedFiles()) {
  const theirs = await outputsOf(runtime, file);
  const { outputs } = compute(file);
  const differences = Object.entries(outputs).map(([name, ours]) => differenceOf(ours, theirs[name]!.data));
  const ulp = Math.max(...differences.map((difference) => difference.ulp));
  const ulpOfOne = Math.max(...differences.map((difference) => difference.ulpOfOne));
  worst = Math.max(worst, ulpOfOne);
  process.stdout.write(`| ${file.name} | ${ulp.toFixed(0)} | ${ulpOfOne.toFixed(2)} |\n`);
}
const isRight = worst <= DIFFERENCE_MAX;
process.stdout.write(`\nlargest difference: ${worst.toFixed(2)} ulp of 1, ${isRight ? 'within' : 'beyond'} ${DIFFERENCE_MAX}\n`);
process.exitCode = isRight ? 0 : 1;
