// The service and its peer, each a process of its own with the same models under the same names.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RecurrentLayer, tanhLayers } from '../../src/layers.ts';
import type { Weights } from '../../src/tensor.ts';
import { registerLayers } from '../clients/api.ts';
import { encodeModel } from '../peers/onnx-model.ts';
import { type ServerProcess, startServer, startServerProcess } from '../processes/server-process.ts';

/** The sums of float32 in another order differ by far less, wrong answers by far more. */
export const PEER_DIFFERENCE_MAX = 1e-4;

export interface Services {
  readonly oursUrl: string;
  readonly peerUrl: string;
}

/** Starts both, and stops them however `measure` ends. */
export async function withServices<Result>(
  models: ReadonlyMap<string, Weights>,
  measure: (services: Services) => Promise<Result>,
): Promise<Result> {
  await using peer = await startPeer(models);
  await using ours = await startServer();
  for (const [name, weights] of models) await registerLayers(ours.url, tanhLayers(weights), name);
  return await measure({ oursUrl: ours.url, peerUrl: peer.url });
}

/** The peer reads its models before it listens, so their files may be deleted once it is ready. */
async function startPeer(models: ReadonlyMap<string, Weights>): Promise<ServerProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-peer-'));
  try {
    for (const [name, weights] of models) {
      writeFileSync(join(folder, `${name}.onnx`), encodeModel({ T: 'T', N: 'N' }, tanhLayers(weights)[0] as RecurrentLayer));
    }
    return await startServerProcess({
      name: 'peer',
      file: join(import.meta.dirname, '../peers/onnx-service.ts'),
      args: [folder],
      readyPath: '/health/live',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
