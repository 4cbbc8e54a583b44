// The functions of the host that a worker can run over linear memory: all work whose cost grows with what a
// client sends, and for which there is no kernel.
//
// To add one, add a row to HOST_FUNCTIONS. It reads its input in place, and makes no values that grow with it,
// so that no input can exhaust a worker's heap. It writes to memory that only this job uses, or returns a few
// bytes. A HostJob runs it, like any other job:
//
//   using job = new HostJob(memory, 'sha256', { ptr, bytes });
//   await scheduler.run({ flops, partsMax: 1, split: () => [job.ptr] }, lifetime);
//   return Buffer.from(job.result());
import { createHash } from 'node:crypto';
import { convertTensor } from '../codec/convert-tensor.ts';
import { checkJson } from '../codec/json/check.ts';
import { LIST_NAMES, TENSOR_NAMES } from '../codec/json/placeholders.ts';
import {
  CONTAINERS_MAX,
  DEPTH_MAX,
  KEYS_MAX,
  RANK_MAX,
  TENSORS_MAX,
} from '../kernels/layout.ts';
import { DTYPES } from '../tensor.ts';
import { packModel } from './packed-model.ts';
import { layersAt } from './weights-block.ts';

export interface HostCall {
  /** In place. */
  readonly input: Buffer;
  /** HOST_ARGUMENTS_MAX words. */
  readonly args: Uint32Array;
  /** All of linear memory, for functions whose arguments are addresses. */
  readonly memory: SharedArrayBuffer;
}

/** What it returns is copied to the block of its job. What it throws is thrown by HostJob.result(). */
export type HostFunction = (call: HostCall) => Uint8Array | string | undefined;

/** The words of a call, as many as HOST_ARGUMENTS_MAX. */
type HostArguments = [number, number, number, number, number, number, number, number];

/** The order of at most 7 blocks of columns as one word: 1 + where each stands, in four bits, the first in the lowest. */
export function blocksWord(blocks: readonly number[] = []): number {
  return blocks.reduce((word, from, j) => word | ((from + 1) << (4 * j)), 0);
}

function blocksIn(word: number): number[] {
  const blocks: number[] = [];
  for (let rest = word; rest > 0; rest >>>= 4) blocks.push((rest & 0xf) - 1);
  return blocks;
}

export const HOST_FUNCTIONS = {
  /** The 32 bytes of the input's SHA-256. */
  sha256: ({ input }) => createHash('sha256').update(input).digest(),

  /**
   * Writes a tensor as row-major float32 (codec/convert-tensor.ts). Returns nothing, or as a u32 the index of
   * the first element that is no finite float32.
   *
   * args: index of the dtype in DTYPES, three sizes, 1 if the first two axes are exchanged, address of the target,
   * the order of the blocks of columns (blocksWord)
   */
  convertTensor: ({ input, args, memory }) => {
    const [dtype, A, B, C, swaps, target, order] = args as unknown as HostArguments;
    const bad = convertTensor(
      { bytes: input, dtype: DTYPES[dtype]!, sizes: [A, B, C], swaps: swaps === 1, blocks: blocksIn(order) },
      new Float32Array(memory, target, A * B * C),
    );
    return bad < 0 ? undefined : new Uint8Array(Uint32Array.of(bad).buffer);
  },

  /**
   * Packs a block of weights (weights-block.ts) for the kernels.
   *
   * args: bytes of the description at its beginning, address of the target
   */
  packWeights: ({ input, args, memory }) => {
    const [descriptionBytes, target] = args as unknown as HostArguments;
    packModel(layersAt(memory, input.byteOffset, descriptionBytes), memory, target);
    return undefined;
  },

  /**
   * Throws what is wrong with a JSON document that the reading kernel has declined.
   *
   * args: bytes that the document may have outside its tensors
   */
  checkJson: ({ input, args: [bytesMax] }) => {
    checkJson(input, {
      tensors: { names: TENSOR_NAMES, lists: LIST_NAMES, rankMax: RANK_MAX },
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
