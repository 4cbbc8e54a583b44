// What somebody is told whose work is not done, with the figures that decided it.
import { CarryoverError } from '../errors.ts';
import type { Cost } from './costs.ts';

/** Even if there were nothing else to do. */
export function neverInTime({ flops, readBytes = 0 }: Cost, ms: number, allowedMs: number): CarryoverError {
  const message =
    `The request needs ${flops} operations and reads ${Math.round(readBytes / 1e6)} MB of weights: about ` +
    `${Math.round(ms)} ms of computing. This server allows ${Math.round(allowedMs)} ms, half of ` +
    `JOB_DEADLINE_MS. Send at most ${Math.floor((allowedMs / ms) * 100)} % of its steps or rows at a time.`;
  return new CarryoverError('limit_exceeded', {
    detail: message,
    errors: [{ pointer: '/x', message }],
  });
}

/** In the time that is left of the request's. @param aheadMs what all others wait for */
export function tooLate(ms: number, remainingMs: number, aheadMs: number): CarryoverError {
  return new CarryoverError('deadline_exceeded', {
    detail:
      `This takes about ${Math.round(ms)} ms, and ${Math.round(remainingMs)} ms of the request's time ` +
      '(JOB_DEADLINE_MS) are left; it was not computed.',
    retryAfterMs: aheadMs,
  });
}

export function backlogTooLong(
  ms: number,
  aheadMs: number,
  remainingMs: number,
  retryAfterMs: number,
): CarryoverError {
  return new CarryoverError('queue_full', {
    detail:
      `About ${Math.round(aheadMs)} ms of work come before this request, which takes about ` +
      `${Math.round(ms)} ms and has ${Math.round(remainingMs)} ms left (JOB_DEADLINE_MS); it was not started.`,
    retryAfterMs,
  });
}

export function queueFull(jobsMax: number, retryAfterMs: number): CarryoverError {
  return new CarryoverError('queue_full', {
    detail: `${jobsMax} requests are waiting already (QUEUE_JOBS_MAX); this one was not started.`,
    retryAfterMs,
  });
}

export function shareFull(jobsMax: number, ownMs: number): CarryoverError {
  return new CarryoverError('queue_full', {
    detail:
      `${jobsMax} requests of this connection are waiting already, its share of the queue (a quarter of ` +
      'QUEUE_JOBS_MAX); this one was not started.',
    retryAfterMs: ownMs,
  });
}
