// The data of the demos, and what torch computed from them: load/demo/data.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensorsFile } from '../../src/codec/safetensors/read.ts';
import { FLOAT_DTYPES } from '../../src/tensor.ts';

const folder = join(import.meta.dirname, 'data');

export function readText(file: string): string {
  return readFileSync(join(folder, file), 'utf8');
}

export function readJson(file: string): unknown {
  return JSON.parse(readText(file));
}

/** The numbers of each tensor of a file, by its name. */
export function readTensors(file: string): (name: string) => ArrayLike<number> {
  const { tensors } = readSafetensorsFile(readFileSync(join(folder, file)), undefined, [...FLOAT_DTYPES, 'I32']);
  return (name) => {
    const tensor = tensors.get(name);
    if (tensor) return tensor.data;
    throw new Error(`${file} has no ${name}.`);
  };
}
