// Writes files of Keras: .keras archives and .h5, as the versions of Keras lay them out. It shares no code with
// src/models/import. fixtures/keras/make.py writes such files with h5py, by which both are compared with each other.
import { randomUUID } from 'node:crypto';
import { crc32, deflateRawSync } from 'node:zlib';
import { File, type Group, Module, ready } from 'h5wasm';

export interface Variable {
  readonly role: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | Int32Array;
}

/** A layer as Keras has it; `parts` are the layers and cells in it, with their variables. */
export interface LayerToWrite {
  readonly className: string;
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly parts: readonly (readonly [path: string, variables: readonly Variable[]])[];
  /** Of a model among the layers. */
  readonly layers?: readonly LayerToWrite[];
}

/** A row for each way in which a version of Keras writes a file. */
export const STYLES = {
  'a .keras of Keras 3': { isArchive: true, isFunctional: false, list: 'layers', counts: 1 },
  'a functional .keras of Keras 3': { isArchive: true, isFunctional: true, list: 'layers', counts: 1 },
  'a .keras of Keras 2.15': { isArchive: true, isFunctional: false, list: 'layers', counts: 1 },
  'a .keras of Keras 2.13': { isArchive: true, isFunctional: true, list: '_layer_checkpoint_dependencies', counts: 2 },
  'a .h5 of Keras 3': { isArchive: false, isFunctional: true, list: '', counts: 1 },
  'a .h5 of Keras 2': { isArchive: false, isFunctional: false, list: '', counts: 1 },
} as const;

export type Style = keyof typeof STYLES;

/** What is changed before the file is written. */
export interface Changes {
  readonly model?: (model: ModelToWrite) => void;
  readonly weights?: (file: File) => void;
}

export interface ModelToWrite {
  class_name: string;
  config: { layers: Record<string, unknown>[]; input_layers?: unknown; output_layers?: unknown };
}

export async function kerasFile(style: Style, layers: readonly LayerToWrite[], changes: Changes = {}): Promise<Buffer> {
  const { isArchive, isFunctional, list, counts } = STYLES[style];
  const model: ModelToWrite = isFunctional ? functional(style, layers) : sequential(style, layers);
  changes.model?.(model);
  if (!isArchive) return await h5Of(model, layers, style.endsWith('2') ? ':0' : '', changes);
  const inOrder = isFunctional ? layers.toReversed() : layers;
  return zip({
    'metadata.json': Buffer.from(JSON.stringify({ keras_version: style, date_saved: '2024-01-01@00:00:00' })),
    'config.json': Buffer.from(JSON.stringify(model)),
    'model.weights.h5': await hdf5((file) => {
      writeNumbered(file, inOrder, list, counts);
      changes.weights?.(file);
    }),
  });
}

// The description

function listed(style: Style, { className, name, config, layers }: LayerToWrite): Record<string, unknown> {
  if (layers) return sequential(style, layers, name);
  const own = { name, trainable: true, dtype: 'float32', ...config };
  if (style.includes('.h5')) return { class_name: className, config: own };
  return { module: 'keras.layers', class_name: className, config: own, registered_name: null };
}

function sequential(style: Style, layers: readonly LayerToWrite[], name = 'sequential') {
  const config = { name, layers: layers.map((layer) => listed(style, layer)) };
  return { module: 'keras', class_name: 'Sequential', config, registered_name: 'Sequential' };
}

/** The list of its layers need not be in the order of the graph; the weights are in that of the list. */
function functional(style: Style, layers: readonly LayerToWrite[]) {
  const isKeras3 = style.endsWith('3') && !style.includes('2.13');
  const made: Record<string, unknown>[] = layers.map((layer, k) => {
    const history = k > 0 && [layers[k - 1]!.name, 0, 0];
    const tensor = { class_name: '__keras_tensor__', config: { dtype: 'float32', keras_history: history } };
    const node = isKeras3 ? { args: [tensor], kwargs: { mask: null } } : [[...(history || []), {}]];
    return { ...listed(style, layer), name: layer.name, inbound_nodes: history ? [node] : [] };
  });
  const [first, last] = [layers[0]!.name, layers.at(-1)!.name];
  const config = { name: 'functional', layers: made.toReversed(), input_layers: [[first, 0, 0]], output_layers: [[last, 0, 0]] };
  return { module: 'keras', class_name: style.includes('.h5 of Keras 2') ? 'Model' : 'Functional', config };
}

// The weights

export function writeNumbered(file: Group, layers: readonly LayerToWrite[], list: string, counts: number): void {
  const used = new Map<string, number>();
  for (const { className, parts, layers: inner } of layers.filter((layer) => layer.className !== 'InputLayer')) {
    const base = inner ? 'sequential' : SNAKE_CASE[className] ?? className.toLowerCase();
    const k = used.get(base) ?? 0;
    used.set(base, k + (parts.length > 0 || inner ? counts : 1));
    const group = groupIn(file, `${list}/${k === 0 ? base : `${base}_${k}`}`);
    if (inner) writeNumbered(group, inner, list, counts);
    for (const [path, variables] of parts) {
      const vars = groupIn(group, path === '' ? 'vars' : `${path}/vars`);
      for (const [j, variable] of variables.entries()) write(vars, String(j), variable);
    }
  }
}

const SNAKE_CASE: Readonly<Record<string, string>> = {
  SimpleRNN: 'simple_rnn',
  TimeDistributed: 'time_distributed',
  BatchNormalization: 'batch_normalization',
};

const PATHS: Readonly<Record<string, string>> = {
  'forward_layer/cell': 'forward_cell/',
  'backward_layer/cell': 'backward_cell/',
  cell: 'cell/',
};

function h5Of(model: object, layers: readonly LayerToWrite[], suffix: string, changes: Changes): Promise<Buffer> {
  return hdf5((file) => {
    file.create_attribute('keras_version', suffix === '' ? '3.12.0' : '2.11.0');
    file.create_attribute('model_config', JSON.stringify(model));
    const weights = groupIn(file, 'model_weights');
    weights.create_attribute('layer_names', layers.map(({ name }) => name));
    for (const layer of layers) {
      const group = groupIn(weights, layer.name);
      const inner = layer.layers ?? [layer];
      const found = inner.flatMap(({ name, parts }) =>
        parts.flatMap(([path, variables]) =>
          variables.map((variable) => [`${name}/${PATHS[path] ?? ''}${variable.role}${suffix}`, variable] as const),
        ),
      );
      if (found.length > 0) group.create_attribute('weight_names', found.map(([name]) => name));
      for (const [name, variable] of found) {
        const at = name.lastIndexOf('/');
        write(groupIn(group, name.slice(0, at)), name.slice(at + 1), variable);
      }
    }
    changes.weights?.(file);
  });
}

function write(group: Group, name: string, { shape, data }: Variable): void {
  group.create_dataset({ name, data, shape: [...shape] });
}

export function groupIn(group: Group, path: string): Group {
  return path.split('/').reduce((at, name) => (at.keys().includes(name) ? (at.get(name) as Group) : at.create_group(name)), group);
}

/** The bytes of an HDF5 file. */
export async function hdf5(fill: (file: File) => void): Promise<Buffer> {
  await ready;
  const name = `/${randomUUID()}.h5`;
  const file = new File(name, 'w');
  try {
    fill(file);
  } finally {
    file.close();
  }
  const bytes = Module.FS.readFile(name);
  Module.FS.unlink(name);
  return Buffer.from(bytes);
}

export interface EntryToWrite {
  readonly content: Uint8Array;
  readonly deflates?: boolean;
  /** What the archive says, if it is not true. */
  readonly uncompressedSize?: number;
}

/** https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT */
export function zip(entries: Readonly<Record<string, Uint8Array | EntryToWrite>>): Buffer {
  const [files, directory]: [Buffer[], Buffer[]] = [[], []];
  let offset = 0;
  for (const [name, entry] of Object.entries(entries)) {
    const { content, deflates = false, uncompressedSize } = entry instanceof Uint8Array ? { content: entry } as EntryToWrite : entry;
    const stored = deflates ? deflateRawSync(content) : Buffer.from(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(deflates ? 8 : 0, 4);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(stored.length, 14);
    common.writeUInt32LE(uncompressedSize ?? content.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), stored]);
    files.push(local);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, rest, Buffer.from(name)]));
    offset += local.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(files.length, 4);
  end.writeUInt16LE(files.length, 6);
  end.writeUInt32LE(listed.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...files, listed, Buffer.from('PK\x05\x06'), end]);
}
