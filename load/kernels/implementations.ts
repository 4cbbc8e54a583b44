// The two implementations that bench:kernels compares: this project's kernel, called on this thread, and
// onnxruntime-node.
import { tanhLayers } from '../../src/layers.ts';
import { readConfig } from '../../src/config.ts';
import type { TensorView } from '../../src/tensor.ts';
import { type Kernels, compileKernels, instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { tanhLayer } from '../cases/cell-case.ts';
import { packModel } from '../cases/packed-model.ts';
import { expectNear } from '../cases/same-bits.ts';
import type { OnnxRuntimePeer } from '../peers/onnxruntime.ts';
import {
  type SequenceCase,
  expectRightStates,
  makeJob,
  stateOf,
} from '../cases/sequence-case.ts';

const MEMORY_BYTES = 256 * 1024 * 1024;
/** The sums of float32 in another order differ by less. */
const DIFFERENCE_MAX = 1e-4;

export interface Implementation {
  /** Computes the whole sequence `count` times. */
  readonly repeat: (count: number) => void | Promise<void>;
}

export interface Implementations {
  readonly ours: Implementation;
  readonly peer: Implementation;
  readonly release: () => Promise<void>;
}

/** One linear memory and one instance of the kernels for all cells, as the service has them. */
export interface Host {
  readonly memory: LinearMemory;
  readonly kernels: Kernels;
}

export function startHost(): Host {
  const memory = new LinearMemory(MEMORY_BYTES);
  const compiled = compileKernels(readConfig().KERNEL);
  return { memory, kernels: instantiateKernels(compiled, memory.memory) };
}

/** @throws Error unless our bits are the reference's and the peer's states are close to ours */
export async function prepareImplementations(
  { memory, kernels }: Host,
  onnxRuntime: OnnxRuntimePeer,
  sequence: SequenceCase,
): Promise<Implementations> {
  const model = packModel(memory, tanhLayers(sequence.weights));
  const job = makeJob(memory, model, sequence);
  const peer = await onnxRuntime.prepare({ ...sequence, layer: tanhLayer(sequence.weights) });

  kernels.run(job.ptr);
  await peer.repeat(1);
  expectRightStates('our kernel', sequence, job.hs!);
  expectClose(job.hs!, peer.hs);
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

/** Compares all states of all rows. @throws Error unless they are within DIFFERENCE_MAX of each other */
function expectClose(hs: TensorView, peer: Float32Array): void {
  const [T, N, H] = hs.shape as [number, number, number];
  for (let index = 0; index < T * N; index++) {
    const [t, n] = [Math.floor(index / N), index % N];
    const peerState = peer.subarray(index * H, (index + 1) * H);
    expectNear(`onnxruntime's hs[${t}, ${n}]`, peerState, stateOf(hs, t, n), DIFFERENCE_MAX);
  }
}
