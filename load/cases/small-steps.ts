// Steps with N=1 for load-fair.ts: of a model whose steps run on the main thread, and of one whose steps wait for a worker.
import { JSON_HEADERS, post } from '../../src/cli/bench/http-calls.ts';
import type { HttpTarget } from '../../src/cli/bench/http-target.ts';
import { fill } from '../../src/cli/bench/pseudo-random-tensors.ts';
import { expectSameBits } from '../../src/cli/bench/same-bits.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { referenceModel } from '../../src/wasm/reference/model.ts';
import { registerLayers } from '../clients/api.ts';
import { makeLayer } from './layer.ts';

const D = 8;

export const SMALL_STEPS = [
  { name: 'rnn, H=128', type: 'rnn', H: 128 },
  { name: 'lstm, H=768', type: 'lstm', H: 768 },
] as const;

/** @throws Error unless the service's answer has the bits of the reference */
export async function smallStep(url: string, { name, type, H }: (typeof SMALL_STEPS)[number]): Promise<HttpTarget> {
  const layers = [makeLayer(pseudoRandom(1), type, D, H)];
  const x = fill(pseudoRandom(2), D, 1);
  const model = await registerLayers(url, layers);
  const body = Buffer.from(JSON.stringify({ model, x: [[...x]] }));
  const answer = await post(`${url}/v1/step`, body);
  const { h } = JSON.parse(answer.toString()) as { h: number[][] };
  expectSameBits(`${name}: h`, Float32Array.from(h[0]!), referenceModel(layers, { T: 1, N: 1, x }).h[0]!);
  return { name, url: `${url}/v1/step`, method: 'POST', headers: JSON_HEADERS, body, expectBody: answer };
}
