// Loads the kernels. The main thread compiles the module once; each thread makes its own instance of it over the same
// shared memory, and all run the same machine code.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { roundFallbacks } from './number-fallbacks.ts';
import { runHostJob } from './host-job.ts';

/** The functions of src/kernels/index.ts. Pointers are byte addresses in the shared memory. */
export interface Kernels {
  /** Runs the record (kernels/layout.ts) at an address; returns when it is done. */
  readonly run: (job: number) => void;
  /** Of `count` float32 (a multiple of 8) from `source` to `target`. */
  readonly exp: (source: number, target: number, count: number) => void;
  readonly sigmoid: (source: number, target: number, count: number) => void;
  readonly tanh: (source: number, target: number, count: number) => void;
  /** How many of the `count` bytes at `input` are commas. */
  readonly countCommas: (input: number, count: number) => number;
  /** 1 if all of the `count` float32 at `numbers` are finite, else 0. */
  readonly areFinite: (numbers: number, count: number) => number;
  /** a b + c by the operation of all tiles: rounded once if this processor and this engine fuse it. */
  readonly multiplyAdd: (a: number, b: number, c: number) => number;
  /** Chooses tiles for vectors of 128 or 256 bits, which changes the speed and no bit of a result. */
  readonly useVectors: (bits: number) => void;
}

/** `simd256`: V8 joins neighbouring 128-bit operations into 256-bit ones. The results have the same bits. */
export type KernelPath = 'simd128' | 'simd256';

export interface CompiledKernels {
  readonly module: WebAssembly.Module;
  readonly path: KernelPath;
}

/** Major versions of Node.js whose V8 joins vectors, with the same bits (npm run verify:nodes). */
const JOINS_VECTORS = [24, 26];

/** V8 optimizes a function after this many units of work, in practice at once; its default is 13,000,000. */
const TIERING_BUDGET = 1_000;

/** A process compiles a module once, however many services it makes. */
const compiledFiles = new Map<KernelPath, CompiledKernels>();

/**
 * Compiles the kernels. V8's flags are those of the whole process and must be set before.
 *
 * @param choice `simd128` never uses 256-bit vectors; `auto` does where they are known to be good
 */
export function compileKernels(choice: 'auto' | 'simd128' = 'auto'): CompiledKernels {
  const path = choice === 'auto' ? bestPath() : 'simd128';
  const before = compiledFiles.get(path);
  if (before) return before;
  setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
  if (path === 'simd256') setFlagsFromString('--experimental-wasm-revectorize');
  const file = join(import.meta.dirname, '../kernels/build/kernels.wasm');
  const compiled = { module: new WebAssembly.Module(readFileSync(file)), path };
  compiledFiles.set(path, compiled);
  return compiled;
}

/** An instance for the calling thread. */
export function instantiateKernels(
  { module, path }: CompiledKernels,
  memory: WebAssembly.Memory,
): Kernels {
  const host = {
    runHost: (record: number) => runHostJob(memory, record >>> 0),
    roundFallbacks: (start: number, end: number) => roundFallbacks(memory, start >>> 0, end >>> 0),
  };
  const instance = new WebAssembly.Instance(module, { env: { memory, ...host } });
  const kernels = instance.exports as unknown as Kernels;
  kernels.useVectors(path === 'simd256' ? 256 : 128);
  return kernels;
}

function bestPath(): KernelPath {
  const major = Number(process.versions.node.split('.')[0]);
  return process.arch === 'x64' && JOINS_VECTORS.includes(major) ? 'simd256' : 'simd128';
}
