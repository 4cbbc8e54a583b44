// The kernels' matrix product by itself, C = A W: what a dense layer costs without job, bias and activation. The
// kernels do not export it, so their product is compiled once more, with an entry of its own.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KernelPath } from '../../src/wasm/load.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';

const KERNELS = join(import.meta.dirname, '../../src/kernels');
const COMPILER: string = 'assemblyscript/asc';
/** The name of SOURCE, of which there is no file. */
const ENTRY = 'product-alone.ts';
const CONFIG = 'asconfig.json';
const SOURCE = `
import { NARROW_MAX, PAIR_BYTES, PAIR_TARGET } from './layout';
import { sumNarrow } from './narrow';
import { product } from './product';
import { paddedBytes } from './sequence';
export { useVectors } from './vectors';

export function multiply(pairs: usize, count: u32, W: usize, K: u32, columns: u32): void {
  const size = paddedBytes(columns);
  if (K <= <u32>NARROW_MAX) {
    // Its tiles add a bias, which may be any numbers here.
    sumNarrow(pairs, pairs, count, W, K, W, 0, W, 0, size);
    return;
  }
  for (let n: u32 = 0; n < count; n++) memory.fill(load<u32>(pairs + n * PAIR_BYTES, PAIR_TARGET), 0, size);
  product(pairs, count, W, K, columns);
}
`;

interface Exports {
  /**
   * C = A W of `count` row pairs (row of A, row of C), which are followed by space for SCRATCH_PAIRS. W has K rows and
   * `columns` columns, packed: float64 if K <= NARROW_MAX.
   */
  readonly multiply: (pairs: number, count: number, W: number, K: number, columns: number) => void;
  readonly useVectors: (bits: number) => void;
}

/** The part of the compiler's API that is used. Its own types would replace those of JavaScript's arrays everywhere. */
interface Compiler {
  main(options: readonly string[], files: CompilerFiles): Promise<{ readonly error: Error | null }>;
}

interface CompilerFiles {
  readonly readFile: (name: string) => Promise<string | null>;
  readonly writeFile: (name: string, contents: Uint8Array<ArrayBuffer>) => void;
}

export type Multiply = Exports['multiply'];

/** @param path as compileKernels() has chosen it, which has set V8's flags too */
export async function compileProduct({ memory }: LinearMemory, path: KernelPath): Promise<Multiply> {
  const asc: Compiler = await import(COMPILER);
  const output: Uint8Array<ArrayBuffer>[] = [];
  const { error } = await asc.main(
    [ENTRY, '--config', CONFIG, '--baseDir', KERNELS, '--outFile', 'product.wasm'],
    { readFile: readSource, writeFile: (_, contents) => void output.push(contents) },
  );
  if (error) throw error;
  const module = new WebAssembly.Module(output[0]!);
  const { multiply, useVectors } = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports;
  useVectors(path === 'simd256' ? 256 : 128);
  return multiply;
}

/** null if there is no such file, which the compiler asks for too. */
async function readSource(name: string): Promise<string | null> {
  if (name === ENTRY) return SOURCE;
  const text = await readFile(join(KERNELS, name), 'utf8').catch(() => null);
  // The options are those of the kernels, the entry is not.
  return name === CONFIG && text !== null ? JSON.stringify({ options: JSON.parse(text).options }) : text;
}
