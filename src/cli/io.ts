// What a command sees of its process. Tests pass streams, an environment and a fetch of their own.
import { CliError } from './cli-error.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface Output {
  /** @returns false if the reader is behind; `drain` follows */
  write(text: string): boolean;
  once(event: 'drain', listener: () => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface Io {
  /** Read to its end by commands that are told to, with `-`. */
  readonly stdin: AsyncIterable<Uint8Array> & { readonly isTTY?: boolean };
  /** The result alone. */
  readonly stdout: Output;
  /** Progress, notes and errors. */
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fetch: typeof fetch;
  /** Aborted by Ctrl-C, and when the reader of stdout has gone; its reason is an Ended. */
  readonly signal: AbortSignal;
  /** Compiles the kernels if they are absent or older than their sources. */
  readonly buildKernels: () => Promise<void>;
  /** The exit code of a command that has printed its result, which is no. */
  readonly setExitCode: (code: number) => void;
  /** Runs Node.js in place of this process, or resolves with the exit code of a child. */
  readonly replaceProcess: (args: readonly string[], env: Readonly<Record<string, string | undefined>>) => Promise<number>;
}

/** Why commands are asked to end early. */
export class Ended extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode) {
    super('ended early');
    this.exitCode = exitCode;
  }
}

/** Writes lines, and waits while the reader is behind. */
export async function print(io: Io, text: string): Promise<void> {
  await write(io, `${text}\n`);
}

/** As print(), without the end of the line. */
export async function write({ stdout, signal }: Io, text: string): Promise<void> {
  signal.throwIfAborted();
  if (stdout.write(text)) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const end = () => reject(signal.reason as Error);
  stdout.once('drain', resolve);
  signal.addEventListener('abort', end, { once: true });
  try {
    await promise;
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/** A line for the person at the terminal, which is no result. */
export function note({ stderr }: Io, text: string): void {
  stderr.write(`${text}\n`);
}

/** Without white space, for other programs. */
export const printJson = (io: Io, value: unknown): Promise<void> => print(io, JSON.stringify(value));

/** What `-` stands for. @throws CliError if it is longer than `bytesMax` */
export async function readStdin({ stdin }: Io, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    bytes += chunk.length;
    if (bytes > bytesMax)
      throw new CliError(EXIT.data, `Standard input has more than ${bytesMax} bytes, expected at most as many.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
