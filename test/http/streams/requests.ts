// Requests for streams, for the tests of this folder.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { TestApp } from '../../helpers/app.ts';

export const NDJSON = 'application/x-ndjson';
export const SSE = 'text/event-stream';
/** D = 1, H = 1. */
export const W = { W_x: [[0.5]], W_h: [[0.25]] };

export function repeat<Value>(count: number, value: Value): Value[] {
  return Array.from({ length: count }, () => value);
}

/** POSTs a JSON body or a file, without a connection. */
export function ask(app: TestApp, body: unknown, accept: string, url = '/v1/sequence') {
  const isFile = body instanceof Uint8Array;
  return app.http.inject({
    method: 'POST',
    url,
    headers: { 'content-type': isFile ? 'application/octet-stream' : 'application/json', accept },
    payload: isFile ? Buffer.from(body) : JSON.stringify(body),
  });
}

/** Waits until all memory is released; returns how long that took, in ms. */
export async function untilIdle(app: TestApp, bytesIdle: number): Promise<number> {
  const start = performance.now();
  while (app.memory.bytesUsed !== bytesIdle && performance.now() - start < 20_000) await sleep(5);
  expect(app.memory.bytesUsed).toBe(bytesIdle);
  return performance.now() - start;
}

/** Listens; returns the address of /v1/sequence. */
export async function urlOf(app: TestApp): Promise<string> {
  return `${await app.http.listen({ host: '127.0.0.1', port: 0 })}/v1/sequence`;
}
