// The worker's loop: wait for a job, run it, say so.
//
// There is no error handling on purpose. A kernel that traps ends the worker; the main thread sees
// the exit, fails that one job and starts another worker. A thread that has trapped is not reused.
import { parentPort } from 'node:worker_threads';
import { JOB, REPLY, REQUEST, type Mailbox } from './mailbox.ts';

/** Serves jobs until the thread is terminated. `run` is given the address of a job record. */
export function serve(mailbox: Mailbox, run: (job: number) => void): never {
  parentPort!.postMessage('ready');
  for (let served = 0; ; served++) {
    while (Atomics.load(mailbox, REQUEST) === served) Atomics.wait(mailbox, REQUEST, served);
    run(mailbox[JOB]! >>> 0);
    Atomics.store(mailbox, REPLY, served + 1);
    Atomics.notify(mailbox, REPLY);
  }
}
