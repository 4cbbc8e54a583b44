// What crosses the thread boundary: three words of shared memory per worker, and nothing else.
// Tensors stay where they are, in the kernels' linear memory; a job crosses as one address.
//
//   main thread                                     worker
//   JOB ← address of the job record                 waits while REQUEST is the number last served
//   REQUEST ← the next number, notify     ──►       runs the job at JOB
//   is resumed (Atomics.waitAsync)        ◄──       REPLY ← REQUEST, notify
//
// Numbers run from 1 to NUMBER_MAX and then from 1 again. One job at a time. JOB is read only after REQUEST has changed, and atomics order the two, so the
// worker sees all that the main thread wrote into the job before; REPLY gives the same guarantee
// for the results on the way back.

/** Written by the main thread: the number of the last job handed over; 0 before the first. */
export const REQUEST = 0;
/** Written by the worker: the number of the last job done; GONE once the worker has exited. */
export const REPLY = 1;
/** Written by the main thread: the address of the job record. */
export const JOB = 2;

/** A cache line per mailbox, so that workers do not contend for one. */
const MAILBOX_BYTES = 64;

/** Far below the end of an i32, so that no number is ever GONE. */
export const NUMBER_MAX = 2 ** 30;

/** In REPLY: this worker will never reply again. Written by the main thread. */
export const GONE = -1;

export type Mailbox = Int32Array<SharedArrayBuffer>;

export function createMailbox(): Mailbox {
  return new Int32Array(new SharedArrayBuffer(MAILBOX_BYTES));
}
