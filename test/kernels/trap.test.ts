// A job that traps must leave nothing behind for the next one on the same instance.
import { expect, test } from 'vitest';
import { JOB_ROWS, ROW_BYTES, ROW_Y } from '../../src/kernels/layout.ts';
import { Job, type PackedModel } from '../../src/wasm/job.ts';
import { packPanels, packReadout, panelsBytes, readoutOffsets } from '../../src/wasm/panels.ts';
import { kernels, memory } from '../helpers/kernels.ts';

const [D, H, O, N] = [3, 100, 5, 6];
const filled = (count: number, by: number) => Float32Array.from({ length: count }, (_, i) => by * Math.sin(i));

test('a trap in the readout does not change the next result', () => {
  const model = modelWithReadout();
  const expected = outputsOf(model);
  const broken = new Job(memory, model, { T: 1, N, keepsStates: false, trace: false });
  // The readout of the last row lies where there is no memory.
  const rows = memory.words[(broken.ptr + JOB_ROWS) >>> 2]!;
  memory.words[(rows + (N - 1) * ROW_BYTES + ROW_Y) >>> 2] = 0xffff_ff00;
  expect(() => kernels.run(broken.ptr)).toThrow(WebAssembly.RuntimeError);
  broken.release();
  expect(outputsOf(model)).toEqual(expected);
});

function modelWithReadout(): PackedModel {
  const panelsPtr = memory.allocate(panelsBytes(D, H));
  const weights = { D, H, W_x: filled(D * H, 0.3), W_h: filled(H * H, 0.1), b: filled(H, 0.2) };
  packPanels(weights, memory.f32(panelsPtr, panelsBytes(D, H) / 4));
  const { bytes } = readoutOffsets(H, O);
  const readoutPtr = memory.allocate(bytes);
  packReadout(H, { O, W_y: filled(H * O, 0.4), b_y: filled(O, 1) }, memory.f32(readoutPtr, bytes / 4));
  return { D, H, panelsPtr, readout: { O, panelsPtr: readoutPtr } };
}

/** States and readouts of all rows, with their padding. */
function outputsOf(model: PackedModel): Float32Array[] {
  const job = new Job(memory, model, { T: 1, N, keepsStates: false, trace: false });
  job.x.set(filled(N * D, 1));
  kernels.run(job.ptr);
  const copies = [job.finalState(), job.y!].map(({ data }) => Float32Array.from(data));
  job.release();
  return copies;
}
