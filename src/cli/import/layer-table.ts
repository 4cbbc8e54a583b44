// What was understood of a model file: its layers, their tensors, and of which tensors of the file those were made.
import { type LayerSpec, shortFormOf } from '../../layers.ts';
import { SHORT_NAMES, countOf, specsOf, tensorsOf } from '../../wasm/layer-tensors.ts';
import { formatShape } from '../../tensor.ts';
import { formatCount, formatTable } from '../table.ts';
import type { ReadModel } from './read-model.ts';

export interface TensorRow {
  /** In its layer, e.g. `backward.W_h`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly numbers: number;
  /** In words; absent if the file has none, and it is zeros. */
  readonly from?: string;
}

/** A layer without its weights. */
export interface LayerRow {
  readonly layer: LayerSpec;
  readonly tensors: readonly TensorRow[];
}

export function layerRows({ layers, origins }: Pick<ReadModel, 'layers' | 'origins'>): LayerRow[] {
  const isShort = shortFormOf(layers) !== undefined;
  const originOf = (name: string) => origins[isShort ? SHORT_NAMES[name]! : name];
  const rows = specsOf(layers).map((layer) => ({ layer, tensors: [] as TensorRow[] }));
  for (const { name, shape } of tensorsOf(layers)) {
    const [, index, inLayer] = /^layers\.(\d+)\.(.+)$/.exec(name)!;
    const from = biasOrigin(name, originOf) ?? originOf(name);
    rows[Number(index)]!.tensors.push({
      name: inLayer!,
      shape,
      numbers: countOf(shape),
      ...(from !== undefined && { from }),
    });
  }
  return rows;
}

/** A GRU with reset after has b_hn apart, and what is left of b_h was added to b. */
function biasOrigin(name: string, originOf: (name: string) => string | undefined): string | undefined {
  if (name.endsWith('.b_hn')) {
    const b_h = originOf(name.replace(/hn$/, 'h'));
    return b_h && `${b_h} (n)`;
  }
  const [b, b_h] = [originOf(name), name.endsWith('.b') ? originOf(`${name}_h`) : undefined];
  return b_h && [...(b === undefined ? [] : [b]), `${b_h} (r, z)`].join(' + ');
}

/** The table, and below it the count of all numbers. */
export function formatLayers(rows: readonly LayerRow[]): string {
  const lines = rows.flatMap(({ layer, tensors }, k) =>
    tensors.map(({ name, shape, numbers, from }, j) => [
      ...(j === 0 ? [String(k), layer.type, optionsOf(layer)] : ['', '', '']),
      name,
      formatShape(shape),
      formatCount(numbers),
      from ?? 'zeros',
    ]),
  );
  const total = formatCount(totalOf(rows));
  const heading = ['', 'layer', 'options', 'tensor', 'shape', 'numbers', 'made from'];
  return formatTable([heading, ...lines, ['', 'all', '', '', '', total, '']], (column) =>
    column === 5 ? 'right' : 'left',
  );
}

export function totalOf(rows: readonly LayerRow[]): number {
  return rows.flatMap(({ tensors }) => tensors).reduce((sum, { numbers }) => sum + numbers, 0);
}

/** Options and sizes, e.g. `bidirectional, D=3 H=5`. */
function optionsOf(layer: LayerSpec): string {
  const { type: _, ...fields } = layer;
  const entries = Object.entries(fields);
  const sizes = entries.filter(([, value]) => typeof value === 'number').map(([name, value]) => `${name}=${value}`);
  const words = entries.flatMap(([name, value]) =>
    typeof value === 'number' ? [] : [name === 'reset' ? `reset ${value}` : String(value)],
  );
  // A forward layer is the common one, and a linear dense layer, too.
  return [...words.filter((word) => word !== 'forward'), sizes.join(' ')].join(', ');
}
