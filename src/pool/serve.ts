// The worker's loop: wait for a job, run it, say so.
//
// There is no error handling on purpose. A kernel that traps ends the worker; the main thread sees
// the exit, fails that one job and starts another worker. A thread that has trapped is not reused.
import { parentPort } from 'node:worker_threads';
import { JOB, REPLY, REQUEST, type Mailbox } from './mailbox.ts';

/** Serves jobs until the thread is terminated. `run` is given the address of a job record. */
export function serve(mailbox: Mailbox, run: (job: number) => void): never {
  parentPort!.postMessage('ready');
  let served = 0;
  for (;;) {
    Atomics.wait(mailbox, REQUEST, served);
    const request = Atomics.load(mailbox, REQUEST);
    if (request === served) continue;
    run(Atomics.load(mailbox, JOB) >>> 0);
    served = request;
    Atomics.store(mailbox, REPLY, served);
    Atomics.notify(mailbox, REPLY);
  }
}
