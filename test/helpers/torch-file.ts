// Writes a state dict as torch.save does: a zip archive with a pickle and a storage for each tensor. It shares no code
// with src/codec/pytorch; fixtures/pytorch has files that torch wrote.
import { zip } from './keras-files.ts';

interface TensorToWrite {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** https://github.com/python/cpython/blob/main/Lib/pickletools.py describes the instructions. */
export function torchFile(tensors: Readonly<Record<string, TensorToWrite>>): Buffer {
  const entries = Object.entries(tensors);
  const items = entries.flatMap(([name, { shape, data }], k) => {
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
    return [
      text(name),
      global('torch._utils', '_rebuild_tensor_v2'),
      // The arguments: storage, offset, shape, strides, requires_grad, backward hooks.
      '(', '(', text('storage'), global('torch', 'FloatStorage'), text(String(k)), text('cpu'), int(data.length), 'tQ',
      int(0), tuple(shape), tuple(strides), '\x89', global('collections', 'OrderedDict'), ')R', 'tR',
    ];
  });
  const pickle = Buffer.from(['\x80\x02}(', ...items, 'u.'].join(''), 'latin1');
  const storages = entries.map(([, { data }], k) => [`archive/data/${k}`, new Uint8Array(data.buffer)] as const);
  return zip({ 'archive/data.pkl': pickle, 'archive/version': Buffer.from('3\n'), ...Object.fromEntries(storages) });
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
