// The process of the command line: its streams, signals and exit code. carryover.mjs starts it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { printError, run } from './carryover.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { reasonOf } from './files.ts';
import { Ended, type Io } from './io.ts';

const argv = process.argv.slice(2);
const ending = new AbortController();
const end = (exitCode: ExitCode) => ending.abort(new Ended(exitCode));

// A second Ctrl-C ends the process at once.
process.once('SIGINT', () => end(EXIT.interrupted));
let isStdoutLost = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of the pipe has ended, as in `carryover models | head -1`.
  if (error.code === 'EPIPE') return end(EXIT.ok);
  isStdoutLost = true;
  // Often the command has ended by now: the system tells of it after the write.
  process.exitCode = EXIT.cannotPrint;
  const message = `stdout cannot be written: ${reasonOf(error)}. Send the output to a file or a program that can take it.`;
  printError({ exitCode: EXIT.cannotPrint, message }, argv, process.stderr);
  end(EXIT.cannotPrint);
});
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') end(EXIT.ok);
  // There is no place to say anything else: the exit code still says how the command has ended.
});

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

const exitCode = await run(argv, io);
process.exitCode = isStdoutLost ? EXIT.cannotPrint : exitCode;

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
