// Text in bytes is the text of strings, for every number.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonBytes } from '../../src/codec/json-bytes.ts';
import { swapAxes, tensorToJson } from '../../src/codec/json-write.ts';

const vector = (data: Float32Array) => ({ shape: [data.length], strides: [1], data });

function inBytes(view: Parameters<typeof tensorToJson>[0], room = 1): string {
  const out = new JsonBytes(room);
  out.tensor(view);
  return out.bytes.toString('latin1');
}

test('every 10,007th float32, and those around the powers of ten and of two', () => {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  const values: number[] = [0, -0];
  const expectAll = () => {
    const view = vector(Float32Array.from(values.splice(0)));
    expect(inBytes(view) === tensorToJson(view), 'some number is printed differently').toBe(true);
  };
  for (let pattern = 0; pattern < 2 ** 32; pattern += 10_007) {
    bits[0] = pattern;
    if (Number.isFinite(float[0]!)) values.push(float[0]!);
    if (values.length > 100_000) expectAll();
  }
  const powers = Array.from({ length: 77 }, (_, k) => Number(`1e${k - 38}`));
  for (let k = -126; k < 128; k++) powers.push(2 ** k);
  for (const power of powers) {
    for (const sign of [1, -1]) {
      float[0] = sign * power;
      const middle = bits[0]!;
      for (let step = -3; step <= 3; step++) {
        bits[0] = middle + step;
        if (Number.isFinite(float[0])) values.push(float[0]);
      }
    }
  }
  expectAll();
});

test('tensors of any shape and strides, in whatever room there was', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 3 });
  fc.assert(
    fc.property(sizes, fc.boolean(), fc.nat(300), fc.nat(), (shape, swaps, room, seed) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const data = Float32Array.from({ length: 3 * count }, (_, i) => Math.sin(i + seed) * 3);
      const strides = shape.map((_, axis) =>
        shape.slice(axis + 1).reduce((product, size) => product * size, axis === 0 ? 3 : 1),
      );
      const view = { shape, strides, data };
      const shown = swaps ? swapAxes(view) : view;
      expect(inBytes(shown, room)).toBe(tensorToJson(shown));
    }),
  );
});
