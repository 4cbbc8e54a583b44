// The errors of requests whose work is not done, with the figures of the decision.
import { CarryoverError } from '../errors.ts';
import type { Cost } from './costs.ts';

/** The work would take too long even on idle workers. @param allowedMs its share of JOB_DEADLINE_MS */
export function exceedsTimeLimit({ flops, readBytes = 0 }: Cost, ms: number, allowedMs: number): CarryoverError {
  const message =
    `The request needs ${flops} operations and reads ${Math.round(readBytes / 1e6)} MB of weights: about ` +
    `${Math.round(ms)} ms of computing. This server allows ${Math.round(allowedMs)} ms, half of ` +
    `JOB_DEADLINE_MS. Send at most ${Math.floor((allowedMs / ms) * 100)} % of its steps or rows at a time.`;
  return new CarryoverError('limit_exceeded', {
    detail: message,
    errors: [{ pointer: '/x', message }],
  });
}

/** The work cannot be done in the time that the request has left. @param backlogMs the whole backlog, for Retry-After */
export function deadlineUnreachable(ms: number, remainingMs: number, backlogMs: number): CarryoverError {
  return new CarryoverError('deadline_exceeded', {
    detail:
      `This takes about ${Math.round(ms)} ms, and ${Math.round(remainingMs)} ms of the request's time ` +
      '(JOB_DEADLINE_MS) are left; it was not computed.',
    retryAfterMs: backlogMs,
  });
}

/** With the backlog before it, the work would miss its deadline. */
export function backlogTooLong(
  ms: number,
  backlogMs: number,
  remainingMs: number,
  retryAfterMs: number,
): CarryoverError {
  return new CarryoverError('queue_full', {
    detail:
      `A backlog of about ${Math.round(backlogMs)} ms of work comes before this request, which takes about ` +
      `${Math.round(ms)} ms and has ${Math.round(remainingMs)} ms left (JOB_DEADLINE_MS); it was not started.`,
    retryAfterMs,
  });
}

/** QUEUE_JOBS_MAX parts are waiting. */
export function queueFull(jobsMax: number, retryAfterMs: number): CarryoverError {
  return new CarryoverError('queue_full', {
    detail: `${jobsMax} requests are waiting already (QUEUE_JOBS_MAX); this one was not started.`,
    retryAfterMs,
  });
}

/** The connection has its share of the queue. @param ownMs how long its own work takes */
export function clientQueueFull(jobsMax: number, ownMs: number): CarryoverError {
  return new CarryoverError('queue_full', {
    detail:
      `${jobsMax} requests of this connection are waiting already, its share of the queue (a quarter of ` +
      'QUEUE_JOBS_MAX); this one was not started.',
    retryAfterMs: ownMs,
  });
}
