// The entry of the thread that sends spans to the collector.
import { constants, platform, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { FromThread, ThreadOptions, ToThread } from '../messages.ts';
import { SpanExport } from './span-export.ts';

// Requests go first where there are fewer cores than threads. On Linux a thread has a priority of its own; elsewhere it would
// be that of the process.
if (platform() === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

const port = parentPort!;
const spanExport = new SpanExport(workerData as ThreadOptions, (spans, error) =>
  port.postMessage({ spans, error: error && (error.message || error.name) } satisfies FromThread),
);

port.on('message', (message: ToThread) => {
  if ('isLast' in message) void end();
  else spanExport.add(message.spans);
});

async function end(): Promise<void> {
  await spanExport.close();
  // Requests of the exporter may still go on.
  process.exit();
}
