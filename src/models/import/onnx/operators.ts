// The operators that are read, by their names in ONNX. https://onnx.ai/onnx/operators/
import { quote } from '../../../codec/safetensors/quote.ts';
import { batchNorm } from './affine.ts';
import { arithmetic, equal, where } from './arithmetic.ts';
import { cast } from './cast.ts';
import { activation, gemm, matMul } from './dense.ts';
import { constantOfShape, expand } from './filling.ts';
import { concat } from './joining.ts';
import type { GraphNode } from './node.ts';
import { constantNode, dropout, flatten, identity, reshape, shape, squeeze, transpose, unsqueeze } from './plumbing.ts';
import { recurrent } from './recurrent.ts';
import { gather, slice, split } from './selecting.ts';
import type { Value } from './value.ts';

/** @returns a value for each output · @throws malformed_model_file · model_file_unsupported */
type Operator = (node: GraphNode) => readonly Value[];

export const OPERATORS: Readonly<Record<string, Operator>> = {
  RNN: recurrent,
  GRU: recurrent,
  LSTM: recurrent,
  Gemm: gemm,
  MatMul: matMul,
  Relu: activation,
  Tanh: activation,
  Sigmoid: activation,
  Softmax: activation,
  Add: arithmetic,
  Sub: arithmetic,
  Mul: arithmetic,
  Div: arithmetic,
  BatchNormalization: batchNorm,
  Gather: gather,
  Slice: slice,
  Split: split,
  Concat: concat,
  Transpose: transpose,
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Cast: cast,
  Identity: identity,
  Dropout: dropout,
  Constant: constantNode,
  ConstantOfShape: constantOfShape,
  Expand: expand,
  Shape: shape,
  Equal: equal,
  Where: where,
};

interface Reason {
  readonly pattern: RegExp;
  readonly found: string;
  readonly expected: string;
}

/** Why an operator is not read, and what to do, by its name. */
const REASONS: readonly Reason[] = [
  {
    pattern: /^(?:If|Loop|Scan|SequenceMap)$/,
    found: 'which has a graph of its own, and none is run',
    expected: 'a graph without If, Loop and Scan: export the module with a fixed flow of control',
  },
  {
    pattern: /quantize|^Q[A-Z]|Integer$/i,
    found: 'which is of a quantized model',
    expected: 'floats: export the model from before its quantization',
  },
  {
    pattern: /^ReverseSequence$/,
    found: 'which reverses the steps',
    expected: 'the attribute direction = "reverse" or "bidirectional" of an RNN, GRU or LSTM',
  },
  {
    pattern: /^(?:LogSoftmax|Log)$/,
    found: 'which is not computed',
    expected: 'the Softmax itself, or the dense layer before it: apply the logarithm to the answer',
  },
  {
    pattern: /^(?:ReduceMean|LayerNormalization)$/,
    found: 'which is not computed',
    expected: 'a network without LayerNorm, which is made of such nodes; of steps, take the mean of the answer',
  },
  {
    pattern: /^(?:ArgMax|ArgMin|TopK|Reduce.*|Multinomial)$/,
    found: 'which is not computed',
    expected: 'the numbers of each step: apply it to the answer',
  },
];

/** The values that a node makes. @param domain of its operator, unless that is ONNX's own */
export function operate(node: GraphNode, domain: string | undefined): readonly Value[] {
  const { op } = node;
  const reason = REASONS.find(({ pattern }) => pattern.test(op));
  if (domain !== undefined) {
    const found = reason?.found ?? 'which is not computed';
    const expected = reason?.expected ?? "ONNX's own operators: export without optimizations for one runtime";
    throw node.refusal(`of the domain ${quote(domain)}, ${found}`, expected);
  }
  if (Object.hasOwn(OPERATORS, op)) return OPERATORS[op]!(node);
  if (reason) throw node.refusal(reason.found, reason.expected);
  throw node.refusal('which is not computed', `one of ${Object.keys(OPERATORS).join(', ')}`);
}
