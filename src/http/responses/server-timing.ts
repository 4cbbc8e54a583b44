// Server-Timing (W3C): how long the parts of a computed answer took, for whoever has it. In ms with three decimals, as
// small steps take some microseconds. With its header it costs 0.5 µs a request, so there is no setting to leave it out.
import type { RequestRecord } from '../../request-record.ts';

/** 000 … 999: toFixed(3) takes 100 ns a number, and this 15. */
const DECIMALS = Array.from({ length: 1_000 }, (_, us) => String(us).padStart(3, '0'));

/** The header's value; undefined if nothing was computed. `commit` is that of a session's change. */
export function serverTiming({ readMs, queueMs, computeMs, commitMs, printMs }: RequestRecord): string | undefined {
  if (computeMs === 0) return undefined;
  const commit = commitMs === 0 ? '' : `, commit;dur=${decimal(commitMs)}`;
  return (
    `read;dur=${decimal(readMs)}, queue;dur=${decimal(queueMs)}, compute;dur=${decimal(computeMs)}${commit}, ` +
    `print;dur=${decimal(printMs)}`
  );
}

function decimal(ms: number): string {
  const us = Math.round(ms * 1_000);
  return `${Math.floor(us / 1_000)}.${DECIMALS[us % 1_000]}`;
}
