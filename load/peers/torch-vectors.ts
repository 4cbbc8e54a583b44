// Checks the encoding of layers as ONNX models: onnxruntime-node must compute the outputs and final states that torch
// computes (test/fixtures/cells).
import { isRecurrent, type RecurrentLayer } from '../../src/layers.ts';
import { type CellVector, readCells } from '../../test/helpers/cells.ts';
import { expectNear } from '../../src/cli/bench/same-bits.ts';
import type { OnnxRuntimePeer } from './onnxruntime.ts';

/** Float32 is off by up to 1.3e-6 in the vectors; a gate or a bias in the wrong place by 0.003 and more. */
const DIFFERENCE_MAX = 1e-5;

/**
 * Computes those vectors that are one forward layer with whole rows.
 *
 * @throws Error naming the first element that differs from torch's
 */
export async function expectTorchVectors(onnxRuntime: OnnxRuntimePeer): Promise<void> {
  for (const vector of readCells()) {
    const [layer, ...more] = vector.layers;
    if (more.length > 0 || !isRecurrent(layer!) || layer.direction !== 'forward' || vector.input.lengths) continue;
    await expectVector(onnxRuntime, vector, layer);
  }
}

async function expectVector(
  onnxRuntime: OnnxRuntimePeer,
  { name, input, expected }: CellVector,
  layer: RecurrentLayer,
): Promise<void> {
  const { T, N } = input;
  const zeros = () => new Float32Array(N * layer.H);
  const peer = await onnxRuntime.prepare({
    T,
    N,
    layer,
    x: input.x as Float32Array,
    h: input.h?.[0] ?? zeros(),
    c: layer.type === 'lstm' ? (input.c?.[0] ?? zeros()) : undefined,
  });
  await peer.repeat(1);
  const expectTensor = (what: string, values: Float32Array, torch: readonly number[]) =>
    expectNear(`onnxruntime's ${what} of ${name}`, values, Float32Array.from(torch), DIFFERENCE_MAX);
  expectTensor('hs', peer.hs, expected.hs);
  expectTensor('h', peer.h, expected.h[0]!);
  if (peer.c) expectTensor('c', peer.c, expected.c![0]!);
  await peer.release();
}
