// The two implementations of a recurrent layer that bench:kernels compares: this project's kernels, called on this
// thread, and onnxruntime-node.
import type { TensorView } from '../../src/tensor.ts';
import type { PackedModel } from '../../src/wasm/job.ts';
import { packModel } from '../cases/packed-model.ts';
import { expectNear, expectSameBits } from '../../src/cli/bench/same-bits.ts';
import { type SequenceCase, expectRightStates, makeJob, rowOf, stateOf } from '../cases/sequence-case.ts';
import type { OnnxRuntimePeer, PreparedPeer } from '../peers/onnxruntime.ts';
import type { Host } from './host.ts';
import type { Implementation } from './samples.ts';

/** The sums of float32 in another order differ by less. */
const DIFFERENCE_MAX = 1e-4;

export interface Implementations {
  readonly ours: Implementation;
  readonly peer: Implementation;
  readonly release: () => Promise<void>;
}

/** @throws Error unless our bits are the reference's and the peer's states are close to ours */
export async function prepareImplementations(
  host: Host,
  onnxRuntime: OnnxRuntimePeer,
  sequence: SequenceCase,
): Promise<Implementations> {
  const { memory, kernels } = host;
  const model = packModel(memory, [sequence.layer]);
  const job = makeJob(memory, model, sequence);
  const peer = await onnxRuntime.prepare(sequence);

  kernels.run(job.ptr);
  await peer.repeat(1);
  const ours = { hs: job.hs!, ...job.finalStates()[0]! };
  expectRight(host, model, sequence, ours);
  expectClose(sequence, ours, peer);
  return {
    ours: {
      repeat(count) {
        for (let i = 0; i < count; i++) kernels.run(job.ptr);
      },
    },
    peer,
    async release() {
      await peer.release();
      job.release();
      memory.free(model.ptr);
    },
  };
}

/** What a job computed. */
interface Computed {
  /** (T, N, H) */
  readonly hs: TensorView;
  /** (N, H), after the last step. */
  readonly h: TensorView;
  /** (N, H), of an LSTM only. */
  readonly c?: TensorView | undefined;
}

/** @throws Error unless the bits are those of the reference */
function expectRight(host: Host, model: PackedModel, sequence: SequenceCase, { hs, h, c }: Computed): void {
  const { T, N } = sequence;
  const cAfter = (t: number) => (t === T - 1 ? c! : cellStatesAfter(host, model, sequence, t));
  expectRightStates('our kernel', sequence, hs, cAfter);
  for (let n = 0; n < N; n++) expectSameBits(`our kernel: h of row ${n}`, rowOf(h, n), stateOf(hs, T - 1, n));
}

/** Only the last cell states are kept, so those after step t are computed by a job that ends there. */
function cellStatesAfter({ memory, kernels }: Host, model: PackedModel, sequence: SequenceCase, t: number): TensorView {
  const { N, layer, x } = sequence;
  const steps = t + 1;
  const first = { ...sequence, T: steps, x: x.subarray(0, steps * N * layer.D) };
  const job = makeJob(memory, model, first, false);
  kernels.run(job.ptr);
  const { c } = job.finalStates()[0]!;
  const copy = { ...c!, data: c!.data.slice() };
  job.release();
  return copy;
}

/** Compares all states of all rows. @throws Error unless they are within DIFFERENCE_MAX of each other */
function expectClose({ T, N, layer: { H } }: SequenceCase, { hs, h, c }: Computed, peer: PreparedPeer): void {
  const expectRow = (what: string, data: Float32Array, at: number, ours: Float32Array) =>
    expectNear(`onnxruntime's ${what}`, data.subarray(at * H, (at + 1) * H), ours, DIFFERENCE_MAX);
  for (let at = 0; at < T * N; at++) {
    const [t, n] = [Math.floor(at / N), at % N];
    expectRow(`hs[${t}, ${n}]`, peer.hs, at, stateOf(hs, t, n));
  }
  for (let n = 0; n < N; n++) {
    expectRow(`h of row ${n}`, peer.h, n, rowOf(h, n));
    if (c) expectRow(`c of row ${n}`, peer.c!, n, rowOf(c, n));
  }
}
