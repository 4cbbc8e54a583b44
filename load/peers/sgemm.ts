// The practical peak of one core: sgemm.py in a process of its own, which makes one sample per request.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The system's own Python first, because the system's numpy is installed for it. */
const PYTHONS = ['/usr/bin/python3', 'python3'];
const ONE_THREAD = { OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1', BLIS_NUM_THREADS: '1' };

export const INSTALL_SGEMM = 'apt-get install python3-numpy libopenblas0-pthread';

export interface Sgemm {
  /** e.g. `numpy 1.24.2, openblas` */
  readonly name: string;
  /** GFLOP/s of 512 × 512 × 512 on one thread, now. */
  sample(): Promise<number>;
  stop(): void;
}

/** Undefined unless there is a python3 with numpy and an optimised BLAS. */
export async function startSgemm(): Promise<Sgemm | undefined> {
  for (const python of PYTHONS) {
    const sgemm = await startWith(python);
    if (sgemm) return sgemm;
  }
  return undefined;
}

async function startWith(python: string): Promise<Sgemm | undefined> {
  const child = spawn(python, [join(import.meta.dirname, 'sgemm.py')], {
    env: { ...process.env, ...ONE_THREAD },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const reader = createInterface(child.stdout);
  // If the process cannot be started there is no first line; if it ends later, its output ends too.
  child.on('error', () => reader.close());
  child.stdin.on('error', () => undefined);
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const stop = () => {
    process.off('exit', kill);
    child.kill();
  };
  const lines = reader[Symbol.asyncIterator]();
  const nextLine = async () => (await lines.next()).value as string | undefined;

  const hello = await nextLine();
  const { numpy, blas } = JSON.parse(hello ?? '{}') as { numpy?: string; blas?: string };
  if (numpy === undefined || blas === 'reference') {
    stop();
    return undefined;
  }
  return {
    name: `numpy ${numpy}, ${blas}`,
    async sample() {
      child.stdin.write('\n');
      const line = await nextLine();
      if (line === undefined) throw new Error('sgemm.py ended before it answered.');
      return Number(line);
    },
    stop,
  };
}
