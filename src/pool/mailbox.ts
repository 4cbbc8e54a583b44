// What crosses the thread boundary: some words of shared memory per worker, and nothing else.
// Tensors stay where they are, in the kernels' linear memory; a job crosses as one address.
//
//   main thread                                     worker
//   JOBS[n mod JOBS_MAX] ← address of job n         waits while REQUEST is the number last served
//   REQUEST ← n, notify                   ──►       runs the jobs up to REQUEST, in their order; after each
//   is resumed (Atomics.waitAsync)        ◄──       REPLY ← its number, notify
//
// Numbers run from 1 to NUMBER_MAX and then from 1 again. Up to JOBS_MAX jobs are under way at a time, so
// a worker has its next one without waiting for the main thread. A slot is read only after REQUEST has
// changed, and atomics order the two, so the worker sees all that the main thread wrote into the job
// before; REPLY gives the same guarantee for the results on the way back.

/** Written by the main thread: the number of the last job handed over; 0 before the first. */
export const REQUEST = 0;
/** Written by the worker: the number of the last job done; GONE once the worker has exited. */
export const REPLY = 1;
/** Written by the main thread: the addresses of job records. */
const JOBS = 2;

/** A power of two, so that NUMBER_MAX and 1 follow each other in the slots as well. */
export const JOBS_MAX = 8;

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

export function numberAfter(number: number): number {
  return number === NUMBER_MAX ? 1 : number + 1;
}

/** Where the address of a job is. */
export function slotOf(number: number): number {
  return JOBS + (number % JOBS_MAX);
}
