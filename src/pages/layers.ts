// The layers of a model: as the service lists them, and as a table.
import type { LayerInfo, ModelInfo } from '../client/index.ts';
import { el } from './dom.ts';
import type { Texts } from './texts/en.ts';

/** All layers in their order, also of a model of one tanh layer, which the service tells in its short form. */
export function layersOf({ D, H, O, layers }: ModelInfo): readonly LayerInfo[] {
  if (layers) return layers;
  const rnn: LayerInfo = { type: 'rnn', D, H, direction: 'forward', activation: 'tanh' };
  return O === undefined ? [rnn] : [rnn, { type: 'dense', I: H, O, activation: 'linear' }];
}

/** Rows of the embedding in front; undefined if x has D numbers. */
export function rowsOfEmbedding(model: ModelInfo): number | undefined {
  const [first] = layersOf(model);
  return first?.type === 'embedding' ? first.V : undefined;
}

/** Whether it goes forward only, so that a session can step it. */
export function canStep(model: ModelInfo): boolean {
  return layersOf(model).every(({ direction = 'forward' }) => direction === 'forward');
}

/** `embedding → lstm → lstm → dense` */
export function layersText(model: ModelInfo): string {
  return layersOf(model).map(({ type }) => type).join(' → ');
}

export function layersTable(texts: Texts, model: ModelInfo): HTMLElement {
  const { number, type, input, output, weights, options } = texts.layers;
  const rows = layersOf(model).map((layer, k) =>
    el('tr', {}, [
      el('td', { class: 'number' }, String(k)),
      el('th', { scope: 'row' }, layer.type),
      el('td', { class: 'number' }, inputOf(layer)),
      el('td', { class: 'number' }, outputOf(layer)),
      el('td', {}, [el('code', {}, weightsOf(layer).flatMap((weight, k, { length }) => [el('span', {}, k < length - 1 ? `${weight},` : weight), ' ']))]),
      el('td', {}, optionsOf(layer)),
    ]),
  );
  const heads = [number, type, input, output, weights, options].map((text, k) => el('th', { scope: 'col', class: [0, 2, 3].includes(k) && 'number' }, text));
  return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': texts.layers.title }, [
    el('table', { class: 'layers' }, [el('thead', {}, [el('tr', {}, heads)]), el('tbody', {}, rows)]),
  ]);
}

function inputOf({ type, V, D, I }: LayerInfo): string {
  if (type === 'embedding') return `0 … ${V! - 1}`;
  return type === 'dense' ? `I = ${I!}` : `D = ${D!}`;
}

function outputOf({ type, D, H, O, direction }: LayerInfo): string {
  if (type === 'dense') return `O = ${O!}`;
  if (type === 'embedding' || type === 'affine') return `D = ${D!}`;
  return direction === 'bidirectional' ? `2 H = ${2 * H!}` : `H = ${H!}`;
}

/** Gates of a recurrent layer stand side by side. */
const GATES = { rnn: 1, gru: 3, lstm: 4 } as const;

/** Each tensor with its shape. */
function weightsOf({ type, V, D, H, I, O, direction }: LayerInfo): string[] {
  if (type === 'embedding') return [`E (${V!}, ${D!})`];
  if (type === 'affine') return [`scale (${D!})`, `offset (${D!})`];
  if (type === 'dense') return [`W (${I!}, ${O!})`, `b (${O!})`];
  const columns = GATES[type] * H!;
  const forward = [`W_x (${D!}, ${columns})`, `W_h (${H!}, ${columns})`, `b (${columns})`];
  return direction === 'bidirectional' ? [...forward, ...forward.map((weight) => `backward.${weight}`)] : forward;
}

function optionsOf({ activation, direction, reset }: LayerInfo): string {
  return [activation, direction !== 'forward' && direction, reset && `reset ${reset}`].filter(Boolean).join(', ');
}
