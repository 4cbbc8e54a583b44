// Builds the whole service in this process, without a port. It is closed after the tests of the file, which
// fail if a response did not fit its schema.
import { afterAll, expect } from 'vitest';
import { type App, type AppOverrides, createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { closeAtEnd } from './cleanup.ts';
import { responseValidation } from './response-validation.ts';
import { KNOWN_SPEEDS } from './speeds.ts';

export interface TestApp extends App {
  /** POSTs JSON, given as a value or as it is sent, and reads the answer. */
  post(url: string, body: unknown): Promise<Answer>;
  /** Registers a model file, with these parameters in the address. */
  postFile(file: Uint8Array, query?: Record<string, string>, contentType?: string): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: any;
}

/** Its workers start with the first job, unless the test says something of them: then they are there, and measured. */
export async function buildApp(
  environment: Record<string, string> = {},
  overrides: AppOverrides = {},
): Promise<TestApp> {
  const config = readConfig({ WORKERS: '1', STORE_URL: 'memory:', ...environment });
  const mismatches: string[] = [];
  const plugin = responseValidation((mismatch) => mismatches.push(mismatch));
  const isAboutWorkers = 'WORKERS' in environment || 'workerEntry' in overrides || 'inlineFlopsMax' in overrides;
  const known = { ...KNOWN_SPEEDS, ...(isAboutWorkers && { dispatchMs: undefined }) };
  const app = await createApp(config, { ...known, isPrepared: false, plugin, ...overrides });
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= closeChecked(app, mismatches));
  // Before what was there when it was built, such as a folder. vitest does not call the hook of an app that a test builds.
  afterAll(close);
  closeAtEnd(close);
  const answerTo = async (url: string, contentType: string, payload: string | Buffer, query = {}): Promise<Answer> => {
    const response = await app.http.inject({ method: 'POST', url, query, headers: { 'content-type': contentType }, payload });
    return { status: response.statusCode, headers: response.headers, body: response.json() };
  };
  return {
    ...app,
    post: (url, body) => {
      const isSentAsItIs = typeof body === 'string' || Buffer.isBuffer(body);
      return answerTo(url, 'application/json', isSentAsItIs ? body : JSON.stringify(body));
    },
    postFile: (file, query, contentType = 'application/octet-stream') =>
      answerTo('/v1/models', contentType, Buffer.from(file), query),
  };
}

async function closeChecked(app: App, mismatches: readonly string[]): Promise<void> {
  await app.close();
  expect(mismatches, 'responses that do not fit the schemas of their routes').toEqual([]);
}
