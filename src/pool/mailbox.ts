// The mailbox of a worker: some words of shared memory through which jobs cross the threads, as addresses. Tensors stay
// where they are, in the kernels' linear memory.
//
//   main thread                                     worker
//   JOBS[n mod JOBS_MAX] ← address of job n         waits while REQUEST is the number of the last job done
//   REQUEST ← n, notify                   ──►       runs the jobs up to number REQUEST, in their order; after each
//   is resumed (Atomics.waitAsync)        ◄──       REPLY ← its number, notify
//
// Numbers run from 1 to NUMBER_MAX and then again from 1. A worker has up to JOBS_MAX jobs, so it has its next
// job without waiting for the main thread. Atomic accesses order the memory: a worker that sees REQUEST = n sees all
// that the main thread wrote before, the slot and the job; the main thread that sees REPLY = n sees the results.

/** Word written by the main thread: the number of the last job dispatched; 0 before the first. */
export const REQUEST = 0;
/** Word written by the worker: the number of the last job done; EXITED once the thread has exited. */
export const REPLY = 1;
/** Words written by the main thread: the addresses of the records of jobs. */
const JOBS = 2;

/** The most jobs that a worker has. Divides NUMBER_MAX, so that jobs NUMBER_MAX and 1 have neighbouring slots. */
export const JOBS_MAX = 8;

/** A cache line: no two mailboxes share one. */
const MAILBOX_BYTES = 64;

/** Far below the maximum of an i32, so that no number overflows to EXITED. */
export const NUMBER_MAX = 2 ** 30;

/** Value of REPLY, written by the main thread: the worker's thread has exited. */
export const EXITED = -1;

export type Mailbox = Int32Array<SharedArrayBuffer>;

/** A mailbox without jobs, to be shared with one worker. */
export function createMailbox(): Mailbox {
  return new Int32Array(new SharedArrayBuffer(MAILBOX_BYTES));
}

/** The number of the job after this one. */
export function numberAfter(number: number): number {
  return number === NUMBER_MAX ? 1 : number + 1;
}

/** Index of the word that holds the address of job `number`. */
export function slotOf(number: number): number {
  return JOBS + (number % JOBS_MAX);
}
