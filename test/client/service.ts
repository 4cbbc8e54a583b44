// A service in this process that clients can connect to.
import type { AddressInfo } from 'node:net';
import { Carryover, type CarryoverOptions } from '../../src/client/index.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';

export interface TestService {
  readonly app: TestApp;
  readonly url: string;
  readonly port: number;
  /** A client that retries quickly. */
  readonly client: (options?: CarryoverOptions) => Carryover;
}

/** Closed after the tests of the file. */
export async function startService(environment: Record<string, string> = {}): Promise<TestService> {
  const app = await buildApp(environment);
  await app.http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.http.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}${environment['BASE_PATH'] ?? ''}`;
  return { app, url, port, client: (options) => new Carryover(url, { retry: { delayMs: 5, giveUpMs: 5_000 }, ...options }) };
}
