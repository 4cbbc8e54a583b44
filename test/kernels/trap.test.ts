// A job that traps must leave nothing behind for the next one on the same instance.
import { expect, test } from 'vitest';
import { JOB_Y, JOB_Y_ROW } from '../../src/kernels/layout.ts';
import { tanhLayers } from '../../src/layers.ts';
import { Job, type PackedModel } from '../../src/wasm/job.ts';
import { placeModel } from '../../src/wasm/packed-model.ts';
import { kernels, memory } from '../helpers/kernels.ts';

const [D, H, O, N] = [3, 100, 5, 6];
const filled = (count: number, by: number) => Float32Array.from({ length: count }, (_, i) => by * Math.sin(i));

test('a trap in the readout does not change the next result', () => {
  const model = modelWithReadout();
  const expected = outputsOf(model);
  const broken = new Job(memory, model, { T: 1, N, keepsStates: false, trace: false });
  // The readout of the last row lies where there is no memory.
  const rowBytes = memory.words[(broken.ptr + JOB_Y_ROW) >>> 2]!;
  memory.words[(broken.ptr + JOB_Y) >>> 2] = memory.bytesGrown - (N - 1) * rowBytes;
  expect(() => kernels.run(broken.ptr)).toThrow(WebAssembly.RuntimeError);
  broken.release();
  expect(outputsOf(model)).toEqual(expected);
  memory.free(model.ptr);
});

function modelWithReadout(): PackedModel {
  const weights = { D, H, W_x: filled(D * H, 0.3), W_h: filled(H * H, 0.1), b: filled(H, 0.2) };
  return placeModel(memory, tanhLayers(weights, { O, W_y: filled(H * O, 0.4), b_y: filled(O, 1) }));
}

/** States and readouts of all rows, with their padding. */
function outputsOf(model: PackedModel): Float32Array[] {
  const job = new Job(memory, model, { T: 1, N, keepsStates: false, trace: false });
  job.x.set(filled(N * D, 1));
  kernels.run(job.ptr);
  const copies = [job.finalStates()[0]!.h, job.y!].map(({ data }) => Float32Array.from(data));
  job.release();
  return copies;
}
