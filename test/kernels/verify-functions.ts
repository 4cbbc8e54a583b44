// npm run verify:functions: the promises about exp, sigmoid and tanh over all 2^32 float32, on two threads or more, and
// a control with planted errors.
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import {
  type Findings,
  type FunctionName,
  FUNCTION_NAMES,
  MAGNITUDES,
  brokenPromises,
  checkFunction,
  merge,
  noFindings,
} from './function-check.ts';
import { PLANTED_STRIDE, plantErrors } from './planted-errors.ts';

interface Part {
  readonly name: FunctionName;
  readonly first: number;
  readonly end: number;
}

/** Of each function; their costs differ, so that threads take one after the other. */
const PARTS = 64;
/** The plain reference takes a hundred times as long as the kernel: it is compared on every 1,999th input. */
const REFERENCE_STRIDE = 1_999;

if (isMainThread) await main();
else work();

function work(): void {
  parentPort!.on('message', ({ name, first, end }: Part) => {
    parentPort!.postMessage(checkFunction(name, { first, end, stride: 1, referenceStride: REFERENCE_STRIDE }));
  });
}

async function main(): Promise<void> {
  const start = performance.now();
  const size = MAGNITUDES / PARTS;
  const parts = FUNCTION_NAMES.flatMap((name) =>
    Array.from({ length: PARTS }, (_, k): Part => ({ name, first: k * size, end: (k + 1) * size })),
  );
  const all = Object.fromEntries(FUNCTION_NAMES.map((name) => [name, noFindings()])) as Record<FunctionName, Findings>;
  let next = 0;
  const threads = Math.max(2, availableParallelism());
  await Promise.all(
    Array.from({ length: threads }, async () => {
      const worker = new Worker(new URL(import.meta.url));
      while (next < parts.length) {
        if (process.stderr.isTTY) process.stderr.write(`\r${((100 * next) / parts.length).toFixed(0)} %`);
        const part = parts[next++]!;
        merge(all[part.name], await answerOf(worker, part));
      }
      await worker.terminate();
    }),
  );
  if (process.stderr.isTTY) process.stderr.write('\r');
  for (const name of FUNCTION_NAMES) report(name, all[name]);
  for (const name of FUNCTION_NAMES) reportControl(name);
  console.log(`${threads} threads, ${((performance.now() - start) / 1000).toFixed(0)} s`);
}

function answerOf(worker: Worker, part: Part): Promise<Findings> {
  worker.postMessage(part);
  // Rejects if the worker fails.
  return once(worker, 'message').then(([findings]) => findings as Findings);
}

function report(name: FunctionName, findings: Findings): void {
  const { inputs, oneUlpOff, worst } = findings;
  const broken = brokenPromises(findings);
  const isWhole = inputs === 2 ** 32;
  console.log(
    `${name}: ${inputs} inputs, ${oneUlpOff} results next to the correctly rounded one; largest error ` +
      `${worst.ulps.toFixed(4)} ulp at x = ${worst.x} (${hex(worst.x)}): ${hex(worst.got)}, correctly rounded ` +
      hex(worst.want),
  );
  if (isWhole && Object.keys(broken).length === 0) {
    console.log(`${name}: at most 1 ulp from the correctly rounded result, non-decreasing, and all special values`);
  } else {
    console.error(`${name} FAILED`, { inputs, ...broken });
    process.exitCode = 1;
  }
}

/** The check must find what is planted, or it proves nothing. */
function reportControl(name: FunctionName): void {
  for (const { what, kernel, expected } of plantErrors(name)) {
    const found = brokenPromises(checkFunction(name, { stride: PLANTED_STRIDE, referenceStride: 1, kernel }));
    const keys = Object.keys(expected) as (keyof Findings)[];
    if (keys.every((key) => found[key] === expected[key])) continue;
    console.error(`${name} FAILED: ${what} was planted, expected to find`, expected, 'found', found);
    process.exitCode = 1;
  }
}

function hex(value: number): string {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return `0x${view.getUint32(0).toString(16).padStart(8, '0')}`;
}
