// The worker's loop: wait for a job, run it, say so. It looks for the next one a little while before it
// sleeps.
//
// There is no error handling on purpose. A kernel that traps ends the worker; the main thread sees
// the exit, fails that one job and starts another worker. A thread that has trapped is not reused.
import { parentPort } from 'node:worker_threads';
import { coresAvailable } from '../cores.ts';
import { REPLY, REQUEST, type Mailbox, numberAfter, slotOf } from './mailbox.ts';

/**
 * How often the mailbox is looked at before the thread goes to sleep, about 20 µs. Under load the next
 * job comes sooner than that, and waking a thread costs from 5 to 60 µs, depending on the machine: a
 * round trip took 64 µs without and 7 µs with it where waking is slow. Not on a single core, where
 * the job could not come meanwhile, nor within a quota of less than two, which it would use up.
 */
const SPINS = coresAvailable() > 1 ? 2_000 : 0;

/** Serves jobs until the thread is terminated. `run` is given the address of a job record. */
export function serve(mailbox: Mailbox, run: (job: number) => void): never {
  parentPort!.postMessage('ready');
  let served = 0;
  for (;;) {
    for (let spin = 0; spin < SPINS && Atomics.load(mailbox, REQUEST) === served; spin++);
    Atomics.wait(mailbox, REQUEST, served);
    while (Atomics.load(mailbox, REQUEST) !== served) {
      served = numberAfter(served);
      run(Atomics.load(mailbox, slotOf(served)) >>> 0);
      Atomics.store(mailbox, REPLY, served);
      Atomics.notify(mailbox, REPLY);
    }
  }
}
