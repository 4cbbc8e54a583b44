// Runs the command line in this process, with streams of its own, and with a service of this process behind its fetch.
import { Readable } from 'node:stream';
import { run } from '../../src/cli/carryover.ts';
import { Ended, type Io } from '../../src/cli/io.ts';
import type { App } from '../../src/app.ts';

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Of --json. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: () => any;
}

export interface RunOptions {
  /** Answers all calls, whatever their address is; without one nobody answers. */
  readonly app?: Pick<App, 'http'>;
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  readonly isTTY?: boolean;
  readonly fetch?: typeof fetch;
  readonly signal?: AbortSignal;
  readonly replaceProcess?: Io['replaceProcess'];
  /** Called with each text on stdout. */
  readonly onOutput?: (text: string) => void;
}

export async function carryover(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { app, env = {}, stdin = '', isTTY = false, onOutput = () => undefined } = options;
  let [stdout, stderr] = ['', ''];
  const output = (append: (text: string) => void) => ({
    write: (text: string) => {
      append(text);
      return true;
    },
    once: () => undefined,
    isTTY,
    columns: 100,
  });
  const exitCode = await run(argv, {
    stdin: Readable.from([Buffer.from(stdin)]),
    stdout: output((text) => {
      stdout += text;
      onOutput(text);
    }),
    stderr: output((text) => (stderr += text)),
    env,
    fetch: options.fetch ?? (app ? fetchOf(app) : refused),
    signal: options.signal ?? new AbortController().signal,
    buildKernels: async () => undefined,
    replaceProcess: options.replaceProcess ?? (async () => 0),
  });
  return { exitCode, stdout, stderr, json: () => JSON.parse(stdout) };
}

/** An AbortSignal as Ctrl-C makes it. */
export function interruptible() {
  const controller = new AbortController();
  return { signal: controller.signal, interrupt: () => controller.abort(new Ended(130)) };
}

const refused = () => Promise.reject(new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') }));

function fetchOf({ http }: Pick<App, 'http'>): typeof fetch {
  return async (input, init = {}) => {
    init.signal?.throwIfAborted();
    const { pathname, search } = input as URL;
    const { body } = init;
    const response = await http.inject({
      method: (init.method ?? 'GET') as 'GET',
      url: `${pathname}${search}`,
      headers: init.headers as Record<string, string>,
      ...(body && { payload: typeof body === 'string' ? body : Buffer.from(body as Uint8Array) }),
    });
    const { statusCode: status, rawPayload } = response;
    return new Response(status === 204 ? null : new Uint8Array(rawPayload), { status });
  };
}
