// Who computes a cell: this project's kernel, called on this thread, and onnxruntime-node.
import { readConfig } from '../../src/config.ts';
import type { TensorView } from '../../src/tensor.ts';
import { type Kernels, compileKernels, instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel } from '../packed-model.ts';
import type { OnnxRuntimePeer } from '../peers/onnxruntime.ts';
import {
  type SequenceCase,
  expectRightStates,
  makeJob,
  stateOf,
} from '../sequence-case.ts';

const MEMORY_BYTES = 256 * 1024 * 1024;
/** What float32 may differ by when it is summed in another order. */
const DIFFERENCE_MAX = 1e-4;

export interface Contender {
  /** The whole sequence, `count` times in a row. */
  readonly repeat: (count: number) => void | Promise<void>;
}

export interface Contenders {
  readonly ours: Contender;
  readonly peer: Contender;
  readonly release: () => Promise<void>;
}

/** One memory and one instance for all cells, as a process has them. */
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
export async function makeContenders(
  { memory, kernels }: Host,
  onnxRuntime: OnnxRuntimePeer,
  sequence: SequenceCase,
): Promise<Contenders> {
  const model = packModel(memory, sequence.weights);
  const job = makeJob(memory, model, sequence);
  const peer = await onnxRuntime.prepare(sequence);

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
      memory.free(model.panelsPtr);
    },
  };
}

/** All states of all rows: both must have computed the same thing. */
function expectClose(hs: TensorView, peer: Float32Array): void {
  const [T, N, H] = hs.shape as [number, number, number];
  for (let index = 0; index < T * N; index++) {
    const state = stateOf(hs, Math.floor(index / N), index % N);
    const wrong = state.findIndex(
      (value, j) => !(Math.abs(value - peer[index * H + j]!) <= DIFFERENCE_MAX),
    );
    if (wrong < 0) continue;
    throw new Error(
      `Step ${Math.floor(index / N)}, row ${index % N}, element ${wrong}: ours is ` +
        `${state[wrong]}, onnxruntime's ${peer[index * H + wrong]}.`,
    );
  }
}
