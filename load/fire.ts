// One target under load for some seconds: autocannon, with the answers counted and timed here.
import autocannon from 'autocannon';
import { percentile } from './statistics.ts';

export const CONNECTIONS = 16;

export interface Target {
  readonly name: string;
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Every answer must be this text, if it is given. */
  readonly expectBody?: string | undefined;
}

/** One target in one round. */
export interface Round {
  readonly requestsPerS: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  /** Headers included. */
  readonly requestBytes: number;
  readonly answerBytes: number;
}

/**
 * autocannon counts latency in whole milliseconds, so the answers are timed from its events.
 *
 * @throws Error if an answer is not 2xx, is not the expected one, or does not come
 */
export async function fire(target: Target, duration: number): Promise<Round> {
  const { name, url, method, body, headers, expectBody } = target;
  let requestBytes = 0;
  let answersBytes = 0;
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  const run = autocannon({
    url,
    connections: CONNECTIONS,
    duration,
    method,
    ...(expectBody === undefined ? {} : { expectBody }),
    ...(body ? { body } : {}),
    ...(headers ? { headers } : {}),
    setupClient: (client) => (requestBytes = client.getRequestBuffer().length),
  });
  run.on('response', (_client, _status, bytes: number, ms: number) => {
    answersBytes += bytes;
    latenciesMs.push(ms);
  });
  const { errors, mismatches, non2xx } = await run;
  const seconds = (performance.now() - startMs) / 1000;

  const requests = latenciesMs.length;
  if (errors + mismatches + non2xx > 0 || requests === 0) {
    throw new Error(
      `${name}: of ${requests} answers ${non2xx} were not 2xx and ${mismatches} not the expected ` +
        `one; ${errors} requests had no answer.`,
    );
  }
  return {
    requestsPerS: requests / seconds,
    p50Ms: percentile(latenciesMs, 50),
    p90Ms: percentile(latenciesMs, 90),
    p99Ms: percentile(latenciesMs, 99),
    requestBytes,
    answerBytes: answersBytes / requests,
  };
}
