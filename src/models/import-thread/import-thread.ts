// Reads a model file on a thread of its own, which ends with the file: a damaged or hostile file can neither delay other
// requests nor take more memory than the thread may have, and leaves nothing behind.
//
//   main thread                            import thread (thread.ts)
//   the bytes of the file  ──────────►     read, converted to float32 in our layout
//   layers                 ◄──────────     their tensors, transferred
import { Worker } from 'node:worker_threads';
import { CarryoverError } from '../../errors.ts';
import type { Lifetime } from '../../lifetime.ts';
import type { Import } from '../import/checkpoint.ts';
import { type ImportReply, type ImportRequest, importIn } from './messages.ts';

/** Of values that are made of a file; tensors are outside of it, and bounded by the size of the file. */
const HEAP_MIB_MAX = 256;
/** Of one file, also without a lifetime. */
const READ_MS_MAX = 60_000;

/** Resolves when the files before have been read: one thread at a time, as the memory that it may take is the process's. */
let previous: Promise<unknown> = Promise.resolve();

/**
 * @param lifetime of the request; at its end the thread is terminated
 * @param entry what the thread runs; tests replace it
 * @throws malformed_model_file · model_file_unsupported · shape_mismatch · limit_exceeded · out_of_range ·
 *   deadline_exceeded · client_closed · Error for a fault of the server
 */
export async function importInThread(
  request: ImportRequest,
  lifetime?: Lifetime,
  entry = new URL('./thread.ts', import.meta.url),
): Promise<Import> {
  const before = previous;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  previous = done;
  try {
    await (lifetime ? lifetime.race(before) : before);
    return importIn(await replyOf(request, lifetime, entry));
  } finally {
    // Who gave up before its turn leaves those behind it waiting for those before it.
    void before.then(() => resolve());
  }
}

async function replyOf(request: ImportRequest, lifetime: Lifetime | undefined, entry: URL): Promise<ImportReply> {
  const thread = new Worker(entry, {
    workerData: request,
    execArgv: [],
    // A library that gives up a file says so on stderr, which is not for the log: its error becomes the answer.
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX, maxYoungGenerationSizeMb: 16 },
  });
  const { promise, resolve, reject } = Promise.withResolvers<ImportReply>();
  thread.once('message', resolve);
  thread.once('error', (error) => reject(isOutOfMemory(error) ? tooMuchMemory() : error));
  thread.once('exit', () => reject(new Error('the import thread ended without a reply')));
  const timer = setTimeout(() => reject(tooMuchTime()), READ_MS_MAX);
  const removeListener = lifetime?.onEnd(() => reject(lifetime.error()));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    removeListener?.();
    await thread.terminate();
  }
}

function isOutOfMemory(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';
}

function tooMuchMemory(): CarryoverError {
  return unsupported(`takes more than ${HEAP_MIB_MAX} MiB of memory besides its tensors`);
}

function tooMuchTime(): CarryoverError {
  return unsupported(`takes more than ${READ_MS_MAX / 1_000} s`);
}

function unsupported(what: string): CarryoverError {
  const detail = `Reading the file ${what}; expected one with the model alone, without training state and other graphs.`;
  return new CarryoverError('model_file_unsupported', { detail });
}
