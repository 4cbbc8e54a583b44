// The process of the command line: its streams, signals and exit code. carryover.mjs starts it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { run } from './carryover.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Ended, type Io } from './io.ts';

const ending = new AbortController();
const end = (exitCode: ExitCode) => ending.abort(new Ended(exitCode));

// A second Ctrl-C ends the process at once.
process.once('SIGINT', () => end(EXIT.interrupted));
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of the pipe has ended, as in `carryover models | head -1`.
    if (error.code === 'EPIPE') end(EXIT.ok);
    else throw error;
  });
}

const io: Omit<Io, 'setExitCode'> = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  // Called by name: to look at it loads it, which takes 0.1 s.
  fetch: (input, init) => fetch(input, init),
  signal: ending.signal,
  buildKernels,
  replaceProcess,
};

process.exitCode = await run(process.argv.slice(2), io);

async function buildKernels(): Promise<void> {
  if (!existsSync(new URL('../kernels/build/kernels.wasm', import.meta.url))) {
    process.stderr.write('Compiling the kernels, which takes some seconds once …\n');
  }
  // By its address: the types of the compiler, which it imports, change those of JavaScript's own arrays.
  await import(new URL('../kernels/build.ts', import.meta.url).href);
}

async function replaceProcess(args: readonly string[], env: Io['env']): Promise<number> {
  const settings = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
  // Signals then reach the service itself, as with `exec` in a shell. Windows has no such call.
  if (process.platform !== 'win32') process.execve?.(process.execPath, [process.execPath, ...args], settings);
  const child = spawn(process.execPath, args, { stdio: 'inherit', env: settings });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', reject).once('exit', (code) => resolve(code ?? EXIT.software));
  return promise;
}
