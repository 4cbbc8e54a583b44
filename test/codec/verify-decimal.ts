// npm run verify:decimal: the promise about printed decimals over all 2^32 float32, on two threads.
import { availableParallelism } from 'node:os';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { type DecimalFindings, FINITE_END, brokenPromises, checkDecimals } from './decimal-check.ts';

if (isMainThread) await main();
else work(workerData as { first: number; end: number });

interface Message {
  readonly part?: number;
  readonly findings?: DecimalFindings;
}

function work({ first, end }: { first: number; end: number }): void {
  const findings = checkDecimals(first, end, 1, {
    onProgress: (part) => parentPort!.postMessage({ part }),
  });
  parentPort!.postMessage({ findings });
}

async function main(): Promise<void> {
  const start = performance.now();
  const threads = availableParallelism();
  const parts = Array<number>(threads).fill(0);
  const all = await Promise.all(
    parts.map(async (_, thread) => {
      const first = Math.floor((thread * FINITE_END) / threads);
      const end = Math.floor(((thread + 1) * FINITE_END) / threads);
      return await check(first, end, (part) => {
        parts[thread] = part;
        const percent = (100 * parts.reduce((sum, one) => sum + one, 0)) / threads;
        if (process.stderr.isTTY) process.stderr.write(`\r${percent.toFixed(1)} %`);
      });
    }),
  );
  if (process.stderr.isTTY) process.stderr.write('\r');
  const numbers = all.reduce((sum, findings) => sum + findings.numbers, 0);
  const seconds = (performance.now() - start) / 1000;
  console.log(`${numbers} numbers, all finite float32, on ${threads} threads: ${seconds.toFixed(0)} s`);
  const broken = all.map(brokenPromises).filter((one) => Object.keys(one).length > 0);
  if (broken.length === 0 && numbers === 2 * FINITE_END) {
    console.log('every one is printed as the shortest, nearest decimal and reads back to its bits');
  } else {
    console.error('FAILED', broken);
    process.exitCode = 1;
  }
}

function check(first: number, end: number, onPart: (part: number) => void): Promise<DecimalFindings> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { first, end } });
    worker.on('message', ({ part, findings }: Message) => {
      if (part !== undefined) onPart(part);
      if (findings) resolve(findings);
    });
    worker.on('error', reject);
  });
}
