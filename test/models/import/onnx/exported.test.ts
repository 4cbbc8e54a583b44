// Models that torch.onnx.export has written compute what torch has computed.
import { describe, expect, test } from 'vitest';
import { isOnnx } from '../../../../src/codec/safetensors/file-signatures.ts';
import { CarryoverError } from '../../../../src/errors.ts';
import { readOnnx } from '../../../../src/models/import/onnx/read-onnx.ts';
import { compute, exportedFiles, flat } from './exported.ts';

/** Some units in the last place of 1: torch adds in another order. */
const ERROR_MAX = 8 * 2 ** -23;

describe('an export of torch', () => {
  test.each(exportedFiles())('$name computes what torch does', (file) => {
    expect(isOnnx(file.bytes)).toBe(true);
    const { outputs } = compute(file);
    for (const [name, expected] of Object.entries(file.outputs)) {
      const numbers = flat(expected);
      const found = outputs[name]!;
      expect(found).toHaveLength(numbers.length);
      const error = numbers.reduce((worst, value, i) => Math.max(worst, Math.abs(value - found[i]!)), 0);
      expect(error, name).toBeLessThanOrEqual(ERROR_MAX);
    }
  });

  test.each([
    ['gru-last-step-13', ['The output "y" is of one step; the service returns every step, of which it is the last, in ys.']],
    [
      'lstm-last-step-bidirectional-10',
      [
        'The output "y" is of one step; the service returns every step, of which it is the last, in ys. y of the answer is ' +
          'another, made of the last states.',
      ],
    ],
    [
      'lstm-last-states-bidirectional-13',
      ['The output "y" is y of the answer, made of the last states; the service returns every step too, as ys.'],
    ],
    [
      'lstm-states-15',
      [
        'The input "h_0" is h of a request or a session, zeros if it is absent.',
        'The input "c_0" is c of a request or a session, zeros if it is absent.',
      ],
    ],
    ['rnn-9', []],
  ])('%s: what the service does otherwise', (name, notes) => {
    expect(compute(exportedFiles().find((file) => file.name === name)!).notes).toEqual(notes);
  });

  test.each(exportedFiles({ areRefused: true }))('$name is refused', ({ bytes }) => {
    expect(() => readOnnx(bytes)).toThrow(CarryoverError);
    expect(() => readOnnx(bytes)).toThrow(/node "\/head\/Gemm" \(Gemm\), which reads one direction/);
  });
});
