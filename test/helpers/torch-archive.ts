// Writes a state dict as torch.save does: a zip archive with a pickle and a storage for each tensor. It shares no code
// with src/codec/pytorch; fixtures/pytorch has files that torch wrote.
import { zip } from './keras-files.ts';

export interface StateDictToWrite {
  readonly [name: string]: {
    readonly shape: readonly number[];
    readonly data: Float32Array | Float64Array;
    /** Those of consecutive rows if absent. */
    readonly strides?: readonly number[];
  };
}

export interface ArchiveOptions {
  /** The key of the dict in which the state dict is. */
  readonly within?: string;
  readonly protocol?: number;
  /** What all storages are said to be. */
  readonly storage?: string;
  readonly byteOrder?: 'little' | 'big';
}

/** https://github.com/python/cpython/blob/main/Lib/pickletools.py describes the instructions. */
export function torchArchive(tensors: StateDictToWrite, options: ArchiveOptions = {}): Buffer {
  const { within, protocol = 2, storage, byteOrder } = options;
  const entries = Object.entries(tensors);
  const items = entries.flatMap(([name, { shape, data, strides = rowStrides(shape) }], k) => {
    const type = storage ?? (data instanceof Float32Array ? 'FloatStorage' : 'DoubleStorage');
    return [
      text(name),
      global('torch._utils', '_rebuild_tensor_v2'),
      // Its arguments: storage, offset, shape, strides, requires_grad, backward hooks.
      '(', '(', text('storage'), global('torch', type), text(String(k)), text('cpu'), int(data.length), 'tQ',
      int(0), tuple(shape), tuple(strides), '\x89', global('collections', 'OrderedDict'), ')R', 'tR',
    ];
  });
  const dict = `}(${items.join('')}u`;
  const value = within === undefined ? dict : `}(${text('epoch')}${int(3)}${text(within)}${dict}u`;
  const storages = entries.map(([, { data }], k) => [`archive/data/${k}`, new Uint8Array(data.buffer)] as const);
  return zip({
    'archive/data.pkl': Buffer.from(`\x80${String.fromCodePoint(protocol)}${value}.`, 'latin1'),
    'archive/version': Buffer.from('3\n'),
    ...(byteOrder && { 'archive/byteorder': Buffer.from(byteOrder) }),
    ...Object.fromEntries(storages),
  });
}

function rowStrides(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

const global = (module: string, name: string) => `c${module}\n${name}\n`;
const tuple = (values: readonly number[]) => `(${values.map(int).join('')}t`;

/** BINUNICODE */
function text(value: string): string {
  return `X${word(value.length)}${value}`;
}

/** BININT */
function int(value: number): string {
  return `J${word(value)}`;
}

function word(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes.toString('latin1');
}
