// onnxruntime-node's RNN, GRU and LSTM operators on one thread. It is a package of load/peers, so tsc does not find
// its types.
import { existsSync, readFileSync } from 'node:fs';
import type { SequenceCase } from '../cases/sequence-case.ts';
import { INSTALL_PEERS } from './install.ts';
import { encodeModel } from './onnx-model.ts';

const PACKAGE = new URL('./node_modules/onnxruntime-node/', import.meta.url);

/** One thread; all other options are the defaults, which are the fastest. */
export const SESSION_OPTIONS = {
  executionProviders: ['cpu'],
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
};

/** The part of its API that is used. */
export interface OnnxRuntime {
  readonly Tensor: {
    new (type: 'float32', data: Float32Array, dims: readonly number[]): Tensor;
    new (type: 'int64', data: BigInt64Array, dims: readonly number[]): Tensor;
  };
  readonly InferenceSession: {
    create(model: Uint8Array, options: typeof SESSION_OPTIONS): Promise<Session>;
  };
}

interface Tensor {
  readonly data: Float32Array;
}

export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly { readonly shape: readonly (number | string)[] }[];
  /** Fetches are names, or tensors to write into. */
  run(feeds: Tensors, fetches: Tensors | readonly string[]): Promise<Tensors>;
  release(): Promise<void>;
}

interface Manifest {
  readonly version: string;
  readonly main: string;
}

type Tensors = Readonly<Record<string, Tensor>>;

export interface OnnxRuntimePeer {
  readonly version: string;
  prepare(sequence: SequenceCase): Promise<PreparedPeer>;
}

/** What it computes is there after `repeat`. */
export interface PreparedPeer {
  /** (T, N, H) */
  readonly hs: Float32Array;
  /** (N, H) */
  readonly h: Float32Array;
  /** (N, H), of an LSTM only. */
  readonly c: Float32Array | undefined;
  /** Computes the whole sequence `count` times. */
  repeat(count: number): Promise<void>;
  release(): Promise<void>;
}

export async function loadOnnxRuntime(): Promise<OnnxRuntimePeer> {
  const { version } = onnxRuntimeManifest();
  const runtime = await importOnnxRuntime();
  return { version, prepare: (sequence) => prepare(runtime, sequence) };
}

export async function importOnnxRuntime(): Promise<OnnxRuntime> {
  const { main } = onnxRuntimeManifest();
  const runtime: { default: OnnxRuntime } = await import(new URL(main, PACKAGE).href);
  return runtime.default;
}

/** @throws Error with the command that installs it, if it is missing */
export function onnxRuntimeManifest(): Manifest {
  const manifest = new URL('package.json', PACKAGE);
  if (!existsSync(manifest)) throw new Error(`onnxruntime-node is missing: ${INSTALL_PEERS}`);
  return JSON.parse(readFileSync(manifest, 'utf8')) as Manifest;
}

/** Makes inputs and outputs beforehand, so that a run neither copies nor allocates them. */
async function prepare({ InferenceSession, Tensor }: OnnxRuntime, sequence: SequenceCase): Promise<PreparedPeer> {
  const { T, N, layer } = sequence;
  const { D, H } = layer;
  const session = await InferenceSession.create(encodeModel({ T, N }, layer), SESSION_OPTIONS);
  const hs = new Float32Array(T * N * H);
  const h = new Float32Array(N * H);
  const c = sequence.c && new Float32Array(N * H);
  const stateOf = (data: Float32Array) => new Tensor('float32', data, [1, N, H]);
  const feeds = {
    x: new Tensor('float32', sequence.x, [T, N, D]),
    h: stateOf(sequence.h),
    ...(sequence.c && { c: stateOf(sequence.c) }),
  };
  const fetches = { hs: new Tensor('float32', hs, [T, 1, N, H]), h_T: stateOf(h), ...(c && { c_T: stateOf(c) }) };
  return {
    hs,
    h,
    c,
    async repeat(count) {
      for (let i = 0; i < count; i++) await session.run(feeds, fetches);
    },
    release: () => session.release(),
  };
}
