// Reads mutated files, one after the other, and tells of each what came of it.
import { parentPort, workerData } from 'node:worker_threads';
import { CarryoverError } from '../../../../src/errors.ts';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readKeras } from '../../../../src/models/import/keras/read-keras.ts';
import { layersOf } from '../../../helpers/model-layers.ts';
import { mutatedFile } from './mutations.ts';

async function outcomeOf(seed: number): Promise<string> {
  const bytes = await mutatedFile(seed);
  try {
    layersOf(importFound(await readKeras(bytes)).layers);
    return 'read';
  } catch (error) {
    return error instanceof CarryoverError ? error.code : `fault: ${(error as Error).stack}`;
  }
}

const { from, to } = workerData as { from: number; to: number };
for (let seed = from; seed < to; seed++) parentPort!.postMessage({ seed, outcome: await outcomeOf(seed) });
