// A thread that says when the next request of an open loop is due. Timers of Node.js have whole milliseconds, and a loop that
// looks at the clock until then would take a core from the service: this thread sleeps, to some 60 µs.
import { parentPort, workerData } from 'node:worker_threads';

export interface Pace {
  /** Word 0: how many requests are due. Each change is notified. */
  readonly due: Int32Array<SharedArrayBuffer>;
  readonly intervalNs: number;
  readonly count: number;
}

const { due, intervalNs, count } = workerData as Pace;
/** Nobody changes it. */
const asleep = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** @param startNs of process.hrtime, when the first is due */
function run(startNs: bigint): void {
  for (let n = 0; n < count; ) {
    const elapsedNs = Number(process.hrtime.bigint() - startNs);
    const isDue = Math.min(count, Math.floor(elapsedNs / intervalNs) + 1);
    if (isDue > n) {
      n = isDue;
      Atomics.store(due, 0, n);
      Atomics.notify(due, 0);
    } else Atomics.wait(asleep, 0, 0, (n * intervalNs - elapsedNs) / 1e6);
  }
}

parentPort!.once('message', run);
parentPort!.postMessage('ready');
