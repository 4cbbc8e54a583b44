// A closed loop of requests by autocannon: each of sixteen connections sends its next request when it has
// received its response.
//
// autocannon decodes every response as UTF-8, chunk by chunk. For bytes that are not text this costs more
// than the service takes to compute them (0.8 ms for 66 kB of float32), and the text that comes of it depends
// on where the chunks end. So bytes are compared before a round and not in it; `closed-loop.ts` compares all.
import autocannon, { type Instance, type Result } from 'autocannon';
import { percentile } from '../../src/cli/bench/statistics.ts';
import {
  CONNECTIONS,
  type HttpRound,
  type HttpTarget,
  RESPONSE_MS_MAX,
  requestBytesOf,
} from '../../src/cli/bench/http-target.ts';

/** autocannon looks at its clock this often, in ms; a round is longer by up to as much. */
const SAMPLE_MS = 100;

/** @throws Error if a response is not 2xx, is not the expected text, or does not come */
export async function runAutocannon(target: HttpTarget, seconds: number): Promise<HttpRound> {
  const { name, url, method, headers, body, expectBody } = target;
  // autocannon's own histogram has whole milliseconds.
  const latenciesMs: number[] = [];
  let responsesBytes = 0;
  const result = await new Promise<Result>((resolve, reject) => {
    const options = {
      url,
      method,
      connections: CONNECTIONS,
      duration: seconds,
      timeout: RESPONSE_MS_MAX / 1_000,
      sampleInt: SAMPLE_MS,
      // The first error or unexpected response ends the round.
      bailout: 1,
      ...(headers && { headers }),
      ...(body && { body }),
      ...(typeof expectBody === 'string' && { expectBody }),
    };
    const instance: Instance = autocannon(options, (error: Error | null, result) => {
      if (error) reject(error);
      else resolve(result);
    });
    instance.on('response', (_client, _status, bytes, ms) => {
      latenciesMs.push(ms);
      responsesBytes += bytes;
    });
  });
  const { errors, mismatches, non2xx, duration } = result;
  if (errors > 0) throw new Error(`${name}: ${errors} requests got no response.`);
  if (non2xx > 0) throw new Error(`${name}: ${non2xx} responses were not 2xx.`);
  if (mismatches > 0) throw new Error(`${name}: ${mismatches} responses were not the expected text.`);
  if (latenciesMs.length === 0) throw new Error(`${name}: no response within ${seconds} s.`);
  return {
    requestsPerS: latenciesMs.length / duration,
    p50Ms: percentile(latenciesMs, 50),
    p90Ms: percentile(latenciesMs, 90),
    p99Ms: percentile(latenciesMs, 99),
    requestBytes: requestBytesOf(target).length,
    responseBytes: responsesBytes / latenciesMs.length,
  };
}
