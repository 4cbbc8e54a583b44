// The entry of an import thread: reads one file, replies and ends. What a format needs is loaded when a file has it.
import { constants, platform, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { importFound } from '../import/checkpoint.ts';
import type { FoundFile } from '../import/found-file.ts';
import { type ImportRequest, type ThreadFormat, replyWith, replyWithError } from './messages.ts';

const READERS: Readonly<Record<ThreadFormat, (bytes: Uint8Array) => Promise<FoundFile>>> = {
  onnx: async (bytes) => {
    const { readOnnx } = await import('../import/onnx/read-onnx.ts');
    return readOnnx(bytes);
  },
  keras: async (bytes) => {
    const { readKeras } = await import('../import/keras/read-keras.ts');
    return await readKeras(bytes);
  },
};

// Requests go first where there are fewer cores than threads. On Linux a thread has a priority of its own; elsewhere it would
// be that of the process.
if (platform() === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

const { format, bytes } = workerData as ImportRequest;
try {
  const { reply, buffers } = replyWith(importFound(await READERS[format](bytes)));
  parentPort!.postMessage(reply, buffers);
} catch (error) {
  parentPort!.postMessage(replyWithError(error));
}
