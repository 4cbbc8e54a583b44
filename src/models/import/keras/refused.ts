// Layers of Keras that are refused, and why.
import { layerNotRead } from './errors.ts';
import type { KerasLayer } from './keras-layer.ts';

const CUDNN = "is of cuDNN, with weights in an order of its own; expected it loaded by Keras 2 as LSTM or GRU with recurrent_activation='sigmoid' and saved again";
const CONVOLUTION = 'is a convolution over steps, which is not computed; expected it applied before the call, and a model without it';
const ATTENTION = 'is an attention over all steps, which is not computed; expected recurrent layers alone';
const JOIN = 'joins several tensors, expected layers of which each reads the output of the one before it';
const POOLING = 'reads several steps at once, which is not computed; expected layers that read each step, on `ys` of the answer if need be';

const REASONS: ReadonlyMap<string, string> = new Map([
  ['Masking', 'skips steps by their values wherever they are; expected no Masking, and the number of steps of each row as `lengths` in requests'],
  ['LayerNormalization', 'normalises each step over its features, which is not computed; expected BatchNormalization, or none'],
  ['UnitNormalization', 'normalises each step over its features, which is not computed; expected none'],
  ['GroupNormalization', 'normalises each step over its features, which is not computed; expected none'],
  ['Lambda', 'is Python code, which is never run; expected layers of Keras'],
  ['RepeatVector', 'repeats one step, which is not computed; expected an encoder and a decoder as two models'],
  ['StackedRNNCells', 'is a stack of cells, expected one layer for each'],
  ['TextVectorization', 'reads text, expected a model that begins with row numbers'],
  ['StringLookup', 'reads text, expected a model that begins with row numbers'],
  ['Permute', 'exchanges axes, expected (batch, steps, features) throughout'],
  ['CuDNNLSTM', CUDNN], ['CuDNNGRU', CUDNN],
  ['Conv1D', CONVOLUTION], ['SeparableConv1D', CONVOLUTION], ['ConvLSTM1D', CONVOLUTION], ['ConvLSTM2D', CONVOLUTION],
  ['Attention', ATTENTION], ['AdditiveAttention', ATTENTION], ['MultiHeadAttention', ATTENTION],
  ['Concatenate', JOIN], ['Add', JOIN], ['Multiply', JOIN], ['Average', JOIN],
  ['GlobalAveragePooling1D', POOLING], ['GlobalMaxPooling1D', POOLING], ['MaxPooling1D', POOLING], ['AveragePooling1D', POOLING],
]);

/** @param accepted the classes that are read */
export function refuse(layer: KerasLayer, accepted: readonly string[]): never {
  const reason = REASONS.get(layer.className);
  throw layerNotRead(layer, reason ?? `is not computed, expected one of ${accepted.join(', ')}`);
}
