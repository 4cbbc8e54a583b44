// Registrations of model files as large as a body may be, one for each format: an LSTM of as many inputs as units.
import { bytes, message, number } from '../../load/peers/protobuf.ts';
import { hdf5, kerasFile } from '../helpers/keras-files.ts';
import { kerasLayers } from '../helpers/keras-layers.ts';
import { writeOnnx } from '../helpers/onnx-files.ts';
import { torchArchive } from '../helpers/torch-archive.ts';
import type { HeavyCall } from './heavy-calls.ts';

const FLOAT = 1;

/**
 * @param all also formats whose files pass the same way as another's
 * @param size of a body, in bytes
 * @param attempt makes weights that earlier attempts did not send
 */
export function heavyModelFiles(size: number, all: boolean, attempt: number): HeavyCall[] {
  const H = Math.floor(Math.sqrt(size / 4 / 8.2));
  const matrix = new Float32Array(4 * H * H).fill(0.001 + attempt / 10_000);
  const b = new Float32Array(4 * H).fill(0.5);
  const layers = (bias: number) => {
    const weights = { W_x: matrix, W_h: matrix, b: new Float32Array(4 * H).fill(bias) };
    return kerasLayers([{ type: 'lstm', direction: 'forward', D: H, H, weights }]);
  };
  const register = (name: string, body: NonNullable<HeavyCall['body']>, status: HeavyCall['status'] = 201): HeavyCall => ({
    name: `register ${name}`,
    path: '/v1/models',
    headers: { 'content-type': 'application/octet-stream' },
    body,
    status,
  });
  const calls = [
    register('a state dict of torch.save', () =>
      torchArchive({
        'lstm.weight_ih_l0': { shape: [4 * H, H], data: matrix },
        'lstm.weight_hh_l0': { shape: [4 * H, H], data: matrix },
        'lstm.bias_ih_l0': { shape: [4 * H], data: b },
        'lstm.bias_hh_l0': { shape: [4 * H], data: b },
      }),
    ),
    register('a file of ONNX', () => onnxLstm(H, matrix)),
    register('a file of ONNX of empty nodes', () => Buffer.alloc(size, emptyNodes()), 'refused'),
    register('a .h5 of Keras', () => kerasFile('a .h5 of Keras 2', layers(0.125))),
  ];
  if (!all) return calls;
  return [
    ...calls,
    register('a .keras', () => kerasFile('a .keras of Keras 3', layers(0.25))),
    register('a .h5 with more than a model', () => hdf5((file) => {
      file.create_dataset({ name: 'numbers', data: matrix });
    }), 'refused'),
  ];
}

function onnxLstm(H: number, matrix: Float32Array): Buffer {
  const tensor = (name: string) =>
    message(
      ...[1, 4 * H, H].map((dim) => number(1, dim)),
      number(2, FLOAT),
      bytes(8, name),
      bytes(9, new Uint8Array(matrix.buffer)),
    );
  return Buffer.from(
    writeOnnx({
      nodes: [
        { op: 'LSTM', inputs: ['x', 'W', 'R'], outputs: ['y4'], attributes: { hidden_size: { i: H } } },
        { op: 'Squeeze', inputs: ['y4', 'axes'], outputs: ['y'] },
      ],
      initializers: [tensor('W'), tensor('R'), message(number(1, 1), number(2, 7), bytes(8, 'axes'), bytes(9, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])))],
      inputs: [{ name: 'x', shape: ['T', 'N', H] }],
      outputs: [{ name: 'y', shape: ['T', 'N', H] }],
    }),
  );
}

/** ir_version, a producer, and a graph that is nothing but the beginnings of nodes, of two bytes each. */
function emptyNodes(): Buffer {
  return Buffer.from(message(number(1, 8), bytes(2, 'test'), bytes(7, Buffer.alloc(64, Buffer.from([0x0a, 0x00])))));
}
