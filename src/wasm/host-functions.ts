// The functions of the host that a worker can run over linear memory: all work that is no kernel, and whose
// cost grows with what a client sends.
//
// To add one: a row in HOST_FUNCTIONS. It reads its input in place, makes no values that grow with it (so
// that no input can use up a worker's heap), and writes to memory that only this job uses, or returns a few
// bytes. It is run by a HostJob, like any other job:
//
//   const job = new HostJob(memory, 'sha256', { ptr, bytes });
//   try {
//     await scheduler.run({ flops, partsMax: 1, split: () => [job.ptr] }, lifetime);
//     return job.result();
//   } finally {
//     job.release();
//   }
import { createHash } from 'node:crypto';
import { convertTensor } from '../codec/convert-tensor.ts';
import { checkJson } from '../codec/json/check.ts';
import { TENSOR_NAMES } from '../codec/json/placeholders.ts';
import {
  CONTAINERS_MAX,
  DEPTH_MAX,
  KEYS_MAX,
  RANK_MAX,
  TENSORS_MAX,
} from '../kernels/layout.ts';
import type { Dtype } from '../tensor.ts';
import { packModel } from './panels.ts';
import { weightsAt } from './weights-block.ts';

export interface HostCall {
  /** In place. */
  readonly input: Buffer;
  /** HOST_ARGUMENTS_MAX words. */
  readonly args: Uint32Array;
  /** All of linear memory, for functions whose arguments are addresses. */
  readonly memory: SharedArrayBuffer;
}

/**
 * What it returns is copied to the room of its job. What it throws is thrown by the job's result(), and costs
 * the worker nothing.
 */
export type HostFunction = (call: HostCall) => Uint8Array | string | undefined;

/** The words of a call, as many as HOST_ARGUMENTS_MAX. */
type HostArguments = [number, number, number, number, number, number, number, number];

/** By their place here a dtype crosses the threads. */
export const DTYPES = ['F32', 'F64', 'F16', 'BF16'] as const satisfies readonly Dtype[];

export const HOST_FUNCTIONS = {
  /** The 32 bytes of the input's SHA-256. */
  sha256: ({ input }) => createHash('sha256').update(input).digest(),

  /**
   * Writes a tensor as row-major float32; see codec/convert.ts. Returns nothing, or as a u32 where the first
   * element is that is none.
   *
   * args: place in DTYPES, three sizes, 1 if the first two axes change places, where to
   */
  convertTensor: ({ input, args, memory }) => {
    const [dtype, A, B, C, swaps, target] = args as unknown as HostArguments;
    const bad = convertTensor(
      { bytes: input, dtype: DTYPES[dtype]!, sizes: [A, B, C], swaps: swaps === 1 },
      new Float32Array(memory, target, A * B * C),
    );
    return bad < 0 ? undefined : new Uint8Array(Uint32Array.of(bad).buffer);
  },

  /**
   * Packs a block of weights (weights-block.ts) for the kernels.
   *
   * args: D, H, O, where to
   */
  packWeights: ({ input, args, memory }) => {
    const [D, H, O, target] = args as unknown as HostArguments;
    const { weights, readout } = weightsAt(memory, input.byteOffset, { D, H, O });
    packModel(weights, readout, memory, target);
    return undefined;
  },

  /**
   * Throws what is wrong with a JSON body that the reading kernel has declined.
   *
   * args: bytes that it may have outside its tensors
   */
  checkBody: ({ input, args: [bytesMax] }) => {
    checkJson(input, {
      tensors: { names: TENSOR_NAMES, rankMax: RANK_MAX },
      bounds: {
        depthMax: DEPTH_MAX,
        containersMax: CONTAINERS_MAX,
        keysMax: KEYS_MAX,
        tensorsMax: TENSORS_MAX,
        bytesMax: bytesMax!,
      },
    });
    return undefined;
  },
} as const satisfies Record<string, HostFunction>;

export type HostFunctionName = keyof typeof HOST_FUNCTIONS;
