// ONNX files that are made to break the reader: each is refused for what it is, at once, in memory that is some times its size.
import { describe, expect, test } from 'vitest';
import { bytes, message, number } from '../../../../load/peers/protobuf.ts';
import { CarryoverError } from '../../../../src/errors.ts';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readOnnx } from '../../../../src/models/import/onnx/read-onnx.ts';
import { type NodeToWrite, floats, writeOnnx } from '../../../helpers/onnx-files.ts';
import { OnnxGraph } from '../../../helpers/onnx-graph.ts';
import { D, lstm, rnn } from './small-layers.ts';

/** Many times what any of these takes. */
const READ_MS_MAX = 3_000;
const OPERATORS = bytes(8, message(bytes(1, ''), number(2, 17)));

function refusalOf(file: Uint8Array): CarryoverError {
  const start = performance.now();
  try {
    importFound(readOnnx(file));
  } catch (error) {
    if (!(error instanceof CarryoverError)) throw error;
    expect(performance.now() - start).toBeLessThan(READ_MS_MAX);
    return error;
  }
  throw new Error('It was not refused.');
}

const hex = (digits: string) => new Uint8Array(Buffer.from(digits.replaceAll(' ', ''), 'hex'));
const model = (...graph: readonly Uint8Array[]) => message(number(1, 8), bytes(7, message(...graph)), OPERATORS);

/** @param build the nodes between x (T, N, D) and the output */
function built(build: (graph: OnnxGraph, x: string) => string): Uint8Array {
  const graph = new OnnxGraph();
  return graph.write([build(graph, graph.x(D))]);
}

/** An operator of one value with itself or with another, again and again. */
function repeated(times: number, first: (graph: OnnxGraph) => string, next: (graph: OnnxGraph, value: string) => string): Uint8Array {
  return built((graph, x) => {
    let value = first(graph);
    for (let i = 0; i < times; i++) value = next(graph, value);
    return graph.recurrent(rnn(), x, { inputs: ['', value] })[0]!;
  });
}

function withNodes(nodes: readonly NodeToWrite[], output: string, initializers: readonly Uint8Array[] = []): Uint8Array {
  return writeOnnx({ nodes, initializers, inputs: [{ name: 'x', shape: ['T', 'N', D] }], outputs: [{ name: output }] });
}

const node = (op: string, inputs: readonly string[], outputs: readonly string[]): NodeToWrite => ({ op, inputs, outputs, name: op });
const tensor = (...fields: readonly Uint8Array[]) => message(...fields, bytes(8, 'w'));
const asWeights = (initializer: Uint8Array) => withNodes([node('Add', ['x', 'w'], ['y'])], 'y', [initializer]);

describe('bytes that are no message', () => {
  test.each([
    ['a length of 2^31', hex('0808 3a 8080808008 00'), 'ends in the middle of graph'],
    ['a length beyond 32 bits', hex('0808 3a ffffffffffffffffff01 00'), 'ends in the middle of graph'],
    ['a length beyond its message', hex('0808 3a04 0a09 0000'), 'ends in the middle of node'],
    ['a truncated varint', hex('0808 3a02 0aff'), 'at byte'],
    ['a varint of eleven bytes', hex('08 ffffffffffffffffffffff01'), 'is damaged at byte 0'],
    ['a group', hex('0808 3b 3c'), 'has a group'],
    ['100,000 groups', Buffer.concat([hex('0808'), Buffer.alloc(100_000, 0x3b)]), 'has a group'],
    ['field 0', hex('0808 0200'), 'is damaged'],
    ['a text where a message is', message(number(1, 8), bytes(7, 'no graph'), OPERATORS), 'at byte'],
    ['a number where a text is', message(number(1, 8), number(2, 1)), 'wire type 0'],
    ['an end within packed floats', model(bytes(5, tensor(number(2, 1), bytes(4, hex('000000'))))), 'packed number'],
    ['nothing', hex('0808'), 'has no graph'],
    ['no opset', message(number(1, 8), bytes(7, message(bytes(1, bytes(4, 'Add'))))), 'opset_import'],
  ])('%s', (_, file, part) => {
    const error = refusalOf(file);
    expect(error.code).toBe('malformed_model_file');
    expect(error.message).toContain(part);
  });
});

describe('too much', () => {
  const nodes = (count: number, content: Uint8Array) => model(Buffer.concat(Array<Uint8Array>(count).fill(bytes(1, content))));

  test.each([
    ['two million nodes', nodes(2_000_000, message()), 'has more than 200000'],
    ['30,000 nodes', nodes(30_000, bytes(4, 'Identity')), 'has 30000 nodes'],
    ['a million integers', asWeights(tensor(number(2, 7), bytes(7, new Uint8Array(1_000_000)))), 'has more than 200000'],
    ['nine axes', asWeights(tensor(...Array.from({ length: 9 }, () => number(1, 1)), number(2, 1))), 'with 9 axes'],
    [
      'a shape that doubles',
      repeated(40, (graph) => graph.node('Shape', ['x']), (graph, value) => graph.node('Concat', [value, value], { axis: { i: 0 } })),
      'computes more than',
    ],
    [
      'a tensor that is repeated',
      repeated(1, (graph) => graph.floats([2, 1], [0, 1]), (graph, value) => graph.node('Expand', [value, graph.integers([2, 2 ** 40])])),
      'computes more than',
    ],
    [
      'sizes that are filled',
      repeated(1, (graph) => graph.node('Shape', ['x']), (graph, value) => graph.node('Expand', [value, graph.integers([2 ** 30, 3])])),
      'computes more than',
    ],
    [
      'names that grow',
      repeated(200, (graph) => graph.floats([1, 1, D], [0, 1], 'n'.repeat(100_000)), (graph, value) =>
        graph.node('Add', [graph.node('Mul', [value, graph.floats([1], [1])]), value]),
      ),
      'that is not zero',
    ],
    [
      'a product of sizes that grows',
      repeated(60, (graph) => graph.node('Shape', ['x']), (graph, value) => graph.node('Mul', [value, value])),
      'that is not zero',
    ],
    [
      '33 layers',
      built((graph, x) => Array.from({ length: 33 }).reduce<string>((value) => graph.layer(rnn(), value), x)),
      'more than 32 layers',
    ],
    [
      'states that double',
      built((graph, x) => {
        let value = graph.recurrent(lstm(), x)[1]!;
        for (let i = 0; i < 40; i++) value = graph.node('Concat', [value, value], { axis: { i: 0 } });
        return value;
      }),
      'which joins two values',
    ],
  ])('%s', (_, file, part) => {
    const error = refusalOf(file);
    expect(['model_file_unsupported', 'limit_exceeded']).toContain(error.code);
    expect(error.message).toContain(part);
    expect(error.message.length).toBeLessThan(1_000);
  });

  test('what is nested 100,000 levels deep is skipped, and its node refused', () => {
    // From the innermost out, each the field 6 of the next: its tag and its length, written backwards.
    const backwards: number[] = [];
    for (let level = 0; level < 100_000; level++) {
      const length = number(1, backwards.length).subarray(1);
      backwards.push(...length.toReversed(), (6 << 3) | 2);
    }
    const graph = Uint8Array.from(backwards.toReversed());
    const file = withNodes([{ ...node('If', ['x'], ['y']), attributes: { body: { g: graph } } }], 'y');
    expect(refusalOf(file).message).toContain('(If), which has a graph of its own');
  });
});

describe('tensors', () => {
  test.each([
    ['of fewer numbers than their dims', floats('w', [2, 2], [1, 2, 3]), 'with 12 bytes, expected 16'],
    ['of dims whose product overflows', tensor(number(1, 2 ** 40), number(1, 2 ** 40), number(2, 1), bytes(9, 'abcd')), 'numbers'],
    ['of a negative size', tensor(hex('08 ffffffffffffffffff01'), number(2, 1), bytes(9, 'abcd')), 'with an axis of size -1'],
    ['of no numbers', tensor(number(1, 2), number(2, 1)), 'with 0 numbers, expected 2'],
    ['in the field of another type', tensor(number(1, 1), number(2, 1), bytes(10, new Uint8Array(8))), 'with 0 numbers, expected 1'],
  ])('%s', (_, initializer, part) => {
    const error = refusalOf(asWeights(initializer));
    expect(error.code).toBe('malformed_model_file');
    expect(error.message).toContain(part);
  });
});

describe('graphs', () => {
  test.each([
    ['a circle', withNodes([node('Add', ['x', 'b'], ['a']), node('Add', ['x', 'a'], ['b'])], 'b'), 'before a node makes it'],
    ['a node that reads itself', withNodes([node('Add', ['x', 'y'], ['y'])], 'y'), 'before a node makes it'],
    ['a name that nothing makes', withNodes([node('Add', ['x', 'z'], ['y'])], 'y'), 'which no node makes'],
    ['an output that nothing makes', withNodes([node('Identity', ['x'], ['y'])], 'z'), 'which no node makes'],
    ['an output that its node does not have', withNodes([node('Identity', ['x'], ['y', 'z'])], 'z'), 'that its node does not have'],
    ['a name that is made twice', withNodes([node('Identity', ['x'], ['y']), node('Identity', ['x'], ['y'])], 'y'), 'twice'],
    ['an input that is made', withNodes([node('Identity', ['x'], ['x'])], 'x'), 'twice'],
    ['two initializers of a name', withNodes([node('Add', ['x', 'w'], ['y'])], 'y', [floats('w', [1], [1]), floats('w', [1], [1])]), 'twice'],
    ['an attribute of another type', built((graph, x) => graph.node('Flatten', [x], { axis: { f: 1 } })), 'of type 1, expected 2'],
    ['axes that are none', built((graph, x) => graph.node('Squeeze', [x, graph.integers([7])])), 'for axis 7'],
    ['a perm that is none', built((graph, x) => graph.node('Transpose', [x], { perm: { ints: [0, 0, 2] } })), 'with a perm'],
    ['a step of 0', built((graph, x) => graph.node('Slice', [x, ...[0, 1, 0, 0].map((value) => graph.integers([value]))])), 'with step 0'],
    ['weights of other shapes', built((graph, x) => graph.recurrent(rnn(), x, { attributes: { hidden_size: { i: 9 } } })[0]!), 'hidden_size 9'],
    ['no inputs', withNodes([node('LSTM', [], ['y'])], 'y'), 'without its input'],
  ])('%s', (_, file, part) => {
    const error = refusalOf(file);
    expect(error.code).toBe('malformed_model_file');
    expect(error.message).toContain(part);
  });
});
