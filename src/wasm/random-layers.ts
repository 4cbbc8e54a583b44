// Layers with pseudo-random weights, for the self-test and for measurements.
import {
  type Layer,
  type LayerSpec,
  type RecurrentSpec,
  type RecurrentWeights,
  gatesOf,
  isRecurrent,
} from '../layers.ts';
import { randomFloats } from './pseudo-random.ts';

/** @param random numbers from -1 to 1 */
export function randomLayers(specs: readonly LayerSpec[], random: () => number): Layer[] {
  return specs.map((spec) => randomLayer(spec, random));
}

function randomLayer(spec: LayerSpec, random: () => number): Layer {
  const floats = (count: number) => randomFloats(count, random);
  if (isRecurrent(spec)) {
    const weights = randomWeights(spec, floats);
    return spec.direction === 'bidirectional' ? { ...spec, weights, backward: randomWeights(spec, floats) } : { ...spec, weights };
  }
  if (spec.type === 'embedding') return { ...spec, E: floats(spec.V * spec.D) };
  if (spec.type === 'affine') return { ...spec, scale: floats(spec.D), offset: floats(spec.D) };
  return { ...spec, W: floats(spec.I * spec.O), b: floats(spec.O) };
}

function randomWeights(spec: RecurrentSpec, floats: (count: number) => Float32Array): RecurrentWeights {
  const { D, H } = spec;
  const columns = gatesOf(spec) * H;
  const weights = { W_x: floats(D * columns), W_h: floats(H * columns), b: floats(columns) };
  return spec.type === 'gru' && spec.reset === 'after' ? { ...weights, b_hn: floats(H) } : weights;
}
