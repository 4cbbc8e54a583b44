// The id of a model, computed from its description in openapi/README.md ("The id of a model") and from the JSON of the
// layers, with no code of the server.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { type DirectionJson, type LayerJson, randomLayers, randomOf, type StackOptions } from '../helpers/framework-files.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

type Recurrent = Extract<LayerJson, { W_x: number[][] }>;

const GATES = { rnn: 1, gru: 3, lstm: 4 };
const outputsOf = (layer: LayerJson): number => {
  if (layer.type === 'embedding') return layer.E[0]!.length;
  if (layer.type === 'affine') return layer.scale.length;
  if (layer.type === 'dense') return layer.W[0]!.length;
  return layer.W_h.length * (layer.backward ? 2 : 1);
};

/** What a layer is in the description, its fields in their order. */
function described(layer: LayerJson): object {
  switch (layer.type) {
    case 'embedding':
      return { type: 'embedding', V: layer.E.length, D: outputsOf(layer) };
    case 'affine':
      return { type: 'affine', D: outputsOf(layer) };
    case 'dense':
      return { type: 'dense', I: layer.W.length, O: outputsOf(layer), activation: layer.activation ?? 'linear' };
    default: {
      const { type, W_x, W_h, direction = 'forward', activation = 'tanh', reset = 'after' } = layer;
      const option = type === 'rnn' ? { activation } : type === 'gru' ? { reset } : {};
      return { type, D: W_x.length, H: W_h.length, direction, ...option };
    }
  }
}

/** The numbers of a layer in their order. */
function numbersOf(layer: LayerJson): number[] {
  switch (layer.type) {
    case 'embedding':
      return layer.E.flat();
    case 'affine':
      return [...layer.scale, ...layer.offset];
    case 'dense':
      return [...layer.W.flat(), ...(layer.b ?? layer.W[0]!.map(() => 0))];
    default:
      return [layer, ...(layer.backward ? [layer.backward] : [])].flatMap((weights) => numbersOfDirection(layer, weights));
  }
}

function numbersOfDirection({ type, reset = 'after' }: Recurrent, { W_x, W_h, b, b_h }: DirectionJson): number[] {
  const H = W_h.length;
  const hasOwn = type === 'gru' && reset === 'after';
  const sums: number[] = [];
  for (let j = 0; j < GATES[type] * H; j++) {
    const isAdded = b_h !== undefined && !(hasOwn && j >= 2 * H);
    const first = b ? b[j]! : 0;
    sums.push(isAdded ? first + b_h[j]! : first);
  }
  const own = hasOwn ? Array.from({ length: H }, (_, j) => b_h?.[2 * H + j] ?? 0) : [];
  return [...W_x.flat(), ...W_h.flat(), ...sums, ...own];
}

function floatBytes(numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [i, value] of numbers.entries()) bytes.writeFloatLE(value, 4 * i);
  return bytes;
}

function sizeBytes(...sizes: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * sizes.length);
  for (const [i, size] of sizes.entries()) bytes.writeUInt32LE(size, 4 * i);
  return bytes;
}

function idOf(layers: readonly LayerJson[]): string {
  const [rnn, dense, ...more] = layers as [Recurrent, LayerJson?, ...LayerJson[]];
  const isTanh = rnn.type === 'rnn' && (rnn.activation ?? 'tanh') === 'tanh' && (rnn.direction ?? 'forward') === 'forward';
  const isLinear = !dense || (dense.type === 'dense' && (dense.activation ?? 'linear') === 'linear');
  const hash = createHash('sha256');
  if (isTanh && isLinear && more.length === 0) {
    hash.update(sizeBytes(rnn.W_x.length, rnn.W_h.length)).update(floatBytes(numbersOf(rnn)));
    if (dense) hash.update(sizeBytes(outputsOf(dense))).update(floatBytes(numbersOf(dense)));
  } else {
    let text = JSON.stringify(layers.map(described));
    while (text.length % 4 !== 0) text += ' ';
    hash.update(text);
    for (const layer of layers) hash.update(floatBytes(numbersOf(layer)));
  }
  return `sha256:${hash.digest('hex')}`;
}

const app = await buildApp();

async function registeredId(layers: readonly LayerJson[]): Promise<string> {
  const { status, body } = await app.post('/v1/models', { layers });
  expect(status, JSON.stringify(body).slice(0, 300)).toBeLessThan(300);
  await app.http.inject({ method: 'DELETE', url: `/v1/models/${body.id}` });
  return body.id;
}

/** So large that workers hash it. */
function large(direction = 'forward'): LayerJson[] {
  const { matrix, numbers } = randomOf(1);
  const weights = (): DirectionJson => ({ W_x: matrix(90, 480), W_h: matrix(120, 480), b: numbers(480), b_h: numbers(480) });
  return [
    { type: 'embedding', E: matrix(50, 90) },
    { type: 'lstm', ...weights(), direction, ...(direction === 'bidirectional' && { backward: weights() }) },
  ];
}

/** Any of the biases, of cells and of dense layers. */
const anyBiases: StackOptions['biasesOf'] = (_, { chance }) => ({ b: chance(), b_h: chance(), reset: chance() ? 'after' : 'before' });

describe('the id of a model', () => {
  test('it is the digest that the guide describes, of any layers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = randomOf(seed);
        const layers = randomLayers(random, { biasesOf: anyBiases, isPlain: random.pick(4) === 0 }).map((layer): LayerJson => {
          const mayTurn = 'W_x' in layer && !layer.backward && random.pick(3) === 0;
          return mayTurn ? { ...layer, direction: random.oneOf(['reverse', 'forward']) } : layer;
        });
        expect(await registeredId(layers)).toBe(idOf(layers));
      }),
      { numRuns: runs(300) },
    );
  });

  test('it is the digest that the guide describes, of each kind of layer and of the short form', async () => {
    const W = [[0.1, -0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2]].map((row) => row.map(Math.fround));
    const columns = (count: number) => W.map((row) => row.slice(0, count));
    const b = (count: number) => Array.from({ length: count }, (_, j) => Math.fround(1 / (j + 3)));
    const cells: LayerJson[] = [
      { type: 'rnn', W_x: columns(1), W_h: columns(1), b: b(1), b_h: b(1) },
      { type: 'rnn', activation: 'relu', W_x: columns(1), W_h: columns(1) },
      { type: 'rnn', direction: 'reverse', W_x: columns(1), W_h: columns(1), b_h: b(1) },
      { type: 'gru', W_x: columns(3), W_h: columns(3), b: b(3), b_h: b(3) },
      { type: 'gru', reset: 'before', W_x: columns(3), W_h: columns(3), b: b(3), b_h: b(3) },
      { type: 'gru', W_x: columns(3), W_h: columns(3), b: b(3) },
      { type: 'lstm', W_x: columns(4), W_h: columns(4), b: b(4), b_h: b(4) },
      { type: 'lstm', direction: 'bidirectional', W_x: columns(4), W_h: columns(4), backward: { W_x: columns(4), W_h: columns(4), b: b(4) } },
    ];
    for (const cell of cells) {
      const O = 'backward' in cell && cell.backward ? 2 : 1;
      const dense: LayerJson = { type: 'dense', W: Array.from({ length: O }, () => b(2)) };
      const stacks: LayerJson[][] = [
        [cell],
        [cell, dense],
        [cell, { ...dense, b: b(2), activation: 'softmax' }],
        [{ type: 'embedding', E: [b(1), b(1)] }, cell],
        [{ type: 'affine', scale: b(1), offset: b(1) }, cell, dense],
      ];
      if (cell.type === 'lstm') stacks.push(large(cell.direction));
      for (const layers of stacks) expect(await registeredId(layers), JSON.stringify(layers)).toBe(idOf(layers));
    }
  });

  test('the sum of two biases is rounded once, and a zero keeps its sign', async () => {
    const layers = (b: number[] | undefined, b_h: number[] | undefined): LayerJson[] => [
      { type: 'lstm', W_x: [[1, 2, 3, 4]], W_h: [[1, 2, 3, 4]], ...(b && { b }), ...(b_h && { b_h }) },
    ];
    const numbers = (text: string) => JSON.parse(text) as number[];
    const post = async (b: string | undefined, b_h: string | undefined) => {
      const fields = [b && `"b":${b}`, b_h && `"b_h":${b_h}`].filter(Boolean).map((field) => `,${field}`).join('');
      // In text, because JSON.stringify writes -0 as 0.
      const { body } = await app.post('/v1/models', `{"layers":[{"type":"lstm","W_x":[[1,2,3,4]],"W_h":[[1,2,3,4]]${fields}}]}`);
      return body.id;
    };
    const small = '[1, 5.9604645e-8, -0.0, 1e-45]';
    const ids = new Set<string>();
    for (const [b, b_h] of [[undefined, undefined], [small, undefined], [undefined, small], [small, small], ['[-0.0,-0.0,-0.0,-0.0]', undefined]]) {
      const [x, y] = [b && numbers(b).map(Math.fround), b_h && numbers(b_h).map(Math.fround)];
      const id = await post(b, b_h);
      expect(id, `${b} ${b_h}`).toBe(idOf(layers(x || undefined, y || undefined)));
      ids.add(id);
    }
    expect(ids.size).toBe(5);
  });

  test('control: other layers with the same numbers have other ids', () => {
    const W = [[1, 2, 3]];
    const gru: LayerJson = { type: 'gru', W_x: W, W_h: W };
    const ids = [
      [gru],
      [{ ...gru, reset: 'before' }],
      [{ ...gru, direction: 'reverse' }],
      [{ ...gru, direction: 'bidirectional', backward: { W_x: W, W_h: W } }],
      [gru, { type: 'dense', W: [[1]] }],
      [gru, { type: 'dense', W: [[1]], activation: 'relu' }],
    ].map((layers) => idOf(layers as LayerJson[]));
    expect(new Set(ids).size).toBe(ids.length);
  });
});
