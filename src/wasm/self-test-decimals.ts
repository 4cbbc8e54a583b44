// The self-test's part on JSON: the kernels print and read some hundred decimals, of all magnitudes and
// lengths, as tensorToJson() and Number() do.
import { tensorToJson } from '../codec/json/print.ts';
import { ByteBlock } from './byte-block.ts';
import type { Kernels } from './load.ts';
import type { LinearMemory } from './memory.ts';
import { PrintJob } from './print-job.ts';
import { pseudoRandom } from './pseudo-random.ts';
import { ReadJob, TensorNames } from './read-job.ts';

const COUNT = 300;

/** @throws Error naming the first number that is printed or read differently */
export function selfTestDecimals(kernels: Kernels, memory: LinearMemory): void {
  const random = pseudoRandom(2);
  checkPrinting(kernels, memory, allKinds(random));
  checkReading(kernels, memory, Array.from({ length: COUNT }, (_, i) => decimal(random, i)));
}

/** Numbers between -1 and 1, as hidden states are, and others of any exponent. */
function allKinds(random: () => number): Float32Array {
  const edges = [0, -0, 1, -0.5, 1e-45, 1.17549435e-38, 3.4028235e38, 1e-7, 1e-6, 1e21, 123.456, 2 ** 24];
  const values = Array.from({ length: COUNT }, (_, i) =>
    i % 2 === 0 ? random() : random() * 10 ** Math.round(random() * 37),
  );
  return Float32Array.from([...edges, ...values]);
}

/** Of 1 to 25 digits, with and without point and exponent. */
function decimal(random: () => number, i: number): string {
  const sign = random() < 0 ? '-' : '';
  const digits = Array.from({ length: 1 + (i % 25) }, () => Math.floor((random() + 1) * 5)).join('');
  const whole = i % 3 === 0 ? '0' : String(i);
  const exponent = i % 5 === 0 ? `e${Math.round(random() * 30)}` : '';
  return `${sign}${whole}.${digits}${exponent}`;
}

function checkPrinting(kernels: Kernels, memory: LinearMemory, values: Float32Array): void {
  const tensor = { shape: [values.length], strides: [1], data: values };
  const job = new PrintJob(memory, [{ text: '', tensor }]);
  kernels.run(job.ptr);
  const printed = Buffer.from(job.view()).toString().split(',');
  job.release();
  const expected = tensorToJson(tensor).split(',');
  const wrong = expected.findIndex((decimal, i) => decimal !== printed[i]);
  if (wrong >= 0) throw failure(`printed ${printed[wrong]}`, expected[wrong]!);
}

function checkReading(kernels: Kernels, memory: LinearMemory, decimals: readonly string[]): void {
  const body = Buffer.from(`{"x": [${decimals.join(', ')}]}`);
  const document = new ByteBlock(memory, body.length);
  document.append(body);
  const names = new TensorNames(memory, ['x']);
  const job = new ReadJob(memory, document, {
    names,
    numbersMax: decimals.length,
    outsideBytesMax: body.length,
  });
  kernels.run(job.ptr);
  const numbers = job.skeleton() && job.tensors()[0]?.numbers()?.slice();
  for (const block of [job, names, document]) block[Symbol.dispose]();
  const wrong = decimals.findIndex((decimal, i) => !Object.is(Math.fround(Number(decimal)), numbers?.[i]));
  if (wrong >= 0) throw failure(`read ${numbers?.[wrong]}`, decimals[wrong]!);
}

function failure(did: string, expected: string): Error {
  return new Error(
    `Self-test failed: the kernels ${did} for ${expected}. This build of the kernels, or this ` +
      'JavaScript engine, does not keep the numeric promise.',
  );
}
