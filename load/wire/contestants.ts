// The service and its peer, each a process of its own with the same models under the same names.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Weights } from '../../src/tensor.ts';
import { startProcess, startServer } from '../own-server.ts';
import { encodeModel } from '../peers/onnx-model.ts';
import { modelBody } from '../step-case.ts';

export const JSON_HEADERS = { 'content-type': 'application/json' };

/** float32 sums in another order: far above their error, far below a wrong answer. */
const PEER_DIFFERENCE_MAX = 1e-4;

export interface Contestants {
  readonly oursUrl: string;
  readonly peerUrl: string;
}

/** Starts both, and stops them however `measure` ends. */
export async function withContestants<Result>(
  models: ReadonlyMap<string, Weights>,
  measure: (contestants: Contestants) => Promise<Result>,
): Promise<Result> {
  const peer = await startPeer(models);
  try {
    const ours = await startServer();
    try {
      for (const [name, weights] of models) await register(ours.url, name, weights);
      return await measure({ oursUrl: ours.url, peerUrl: peer.url });
    } finally {
      await ours.stop();
    }
  } finally {
    await peer.stop();
  }
}

/** It reads its models before it listens, so they need not stay. */
async function startPeer(models: ReadonlyMap<string, Weights>) {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-peer-'));
  try {
    for (const [name, weights] of models) {
      writeFileSync(join(folder, `${name}.onnx`), encodeModel({ T: 'T', N: 'N' }, weights));
    }
    return await startProcess({
      name: 'peer',
      file: join(import.meta.dirname, '../peers/onnx-service.ts'),
      args: [folder],
      readyPath: '/health/live',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function register(url: string, name: string, weights: Weights): Promise<void> {
  await post(`${url}/v1/models?name=${name}`, JSON_HEADERS, Buffer.from(modelBody({ weights })));
}

/** @throws Error unless it is answered with 2xx */
export async function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): Promise<Buffer> {
  const answer = await fetch(url, { method: 'POST', headers, body: new Uint8Array(body) });
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (answer.ok) return bytes;
  throw new Error(`${url} was answered ${answer.status}: ${bytes.toString().slice(0, 400)}`);
}

export function stateOfJson(text: string): Float32Array {
  const { h } = JSON.parse(text) as { h: number[][] };
  return Float32Array.from(h.flat());
}

/** @throws Error unless the peer computes the same thing: another one is not worth comparing */
export function expectNear(what: string, h: Float32Array, expected: Float32Array): void {
  // Not `> max`: NaN would pass.
  const wrong = expected.findIndex((value, i) => !(Math.abs(value - h[i]!) <= PEER_DIFFERENCE_MAX));
  if (wrong < 0 && h.length === expected.length) return;
  throw new Error(
    `${what}: element ${wrong} of h is ${h[wrong]} and not within ${PEER_DIFFERENCE_MAX} of ours, ` +
      `${expected[wrong]}.`,
  );
}
