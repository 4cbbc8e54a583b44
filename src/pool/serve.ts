// The loop of a worker thread: wait for a job, run it, reply. It spins for a short while before it sleeps.
//
// It catches no errors on purpose. A kernel that traps ends the thread; see pool.ts for what happens then. A thread that
// has trapped is not reused.
import { parentPort } from 'node:worker_threads';
import { coresAvailable } from '../cores.ts';
import { REPLY, REQUEST, type Mailbox, numberAfter, slotOf } from './mailbox.ts';

/**
 * How often the thread polls the mailbox before it sleeps, for about 20 µs. Under load the next job arrives within that
 * time, and waking a thread costs 5 to 60 µs, depending on the machine: where waking is slow, a round trip took 64 µs
 * without spinning and 7 µs with it. It does not spin on a single core, where no job could arrive meanwhile, nor with a
 * CPU quota of less than two cores, which spinning would use up.
 */
const SPINS = coresAvailable() > 1 ? 2_000 : 0;

/** Runs jobs until the thread is terminated. @param run runs the record at an address (Kernels.run) */
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
