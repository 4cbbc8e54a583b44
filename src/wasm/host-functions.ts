// The functions of the host that a worker can run over linear memory: all work that is no kernel, and whose
// cost grows with what a client sends.
//
// To add one: a row in HOST_FUNCTIONS. It reads its input in place, makes no values that grow with it (so
// that no input can use up a worker's heap), and writes to memory that only this job uses, or returns a few
// bytes. It is run by a HostJob, like any other job:
//
//   const job = new HostJob(memory, 'sha256', { ptr, bytes });
//   try {
//     await scheduler.run({ flops, partsMax: 1, split: () => [job.ptr] });
//     return job.result();
//   } finally {
//     job.release();
//   }
import { createHash } from 'node:crypto';
import { checkJson } from '../codec/json-check.ts';
import { TENSOR_NAMES } from '../codec/moved.ts';
import {
  CONTAINERS_MAX,
  DEPTH_MAX,
  KEYS_MAX,
  RANK_MAX,
  TENSORS_MAX,
} from '../kernels/layout.ts';

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

export const HOST_FUNCTIONS = {
  /** The 32 bytes of the input's SHA-256. */
  sha256: ({ input }) => createHash('sha256').update(input).digest(),

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
