// Frames are followed wherever the chunks of the connection begin and end.
import { expect, test } from 'vitest';
import { type FrameHeader, FrameMeter } from '../../../src/http/websocket/frame-meter.ts';
import { fc } from '../../helpers/seed.ts';

const frames = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 8, 9, 10),
  isFinal: fc.boolean(),
  isMasked: fc.boolean(),
  bytes: fc.oneof(
    fc.integer({ min: 0, max: 130 }),
    fc.constantFrom(125, 126, 127, 65_535, 65_536, 70_000),
  ),
  /** Whether the length is written longer than it has to be; a client may not, but can. */
  isLong: fc.boolean(),
});

type Frame = typeof frames extends fc.Arbitrary<infer Value> ? Value : never;

function encode({ opcode, isFinal, isMasked, bytes, isLong }: Frame): Buffer {
  const first = (isFinal ? 0x80 : 0) | opcode;
  const mask = isMasked ? 0x80 : 0;
  const payload = Buffer.alloc(bytes, 0xff);
  const key = Buffer.alloc(isMasked ? 4 : 0, 0xff);
  if (bytes > 65_535 || isLong) {
    const header = Buffer.from([first, mask | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.writeBigUInt64BE(BigInt(bytes), 2);
    return Buffer.concat([header, key, payload]);
  }
  const short = bytes < 126 ? [first, mask | bytes] : [first, mask | 126, bytes >> 8, bytes & 0xff];
  return Buffer.concat([Buffer.from(short), key, payload]);
}

test('each data frame is reported once, with its length, and its payload as it arrives', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 80_000 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(frames, { maxLength: 12 }), cuts, (sent, sizes) => {
      const bytes = Buffer.concat(sent.map(encode));
      const found: FrameHeader[] = [];
      const arrived: number[] = [0];
      const listener = {
        onFrame: (header: FrameHeader) => void found.push(header),
        onPayload: (length: number, isMessageEnd: boolean) => {
          arrived.push(arrived.pop()! + length);
          if (isMessageEnd) arrived.push(0);
        },
      };
      const meter = new FrameMeter(listener);
      for (let at = 0, k = 0; at < bytes.length; k++) {
        const size = sizes[k % sizes.length]!;
        meter.read(bytes.subarray(at, at + size));
        at += size;
      }
      const expected = sent
        .filter(({ opcode }) => opcode < 8)
        .map(({ bytes: payloadBytes, isFinal }) => ({ payloadBytes, isFinal }));
      expect(found).toEqual(expected);
      const messages = [0];
      for (const { payloadBytes, isFinal } of expected) {
        messages.push(messages.pop()! + payloadBytes);
        if (isFinal) messages.push(0);
      }
      expect(arrived).toEqual(messages);
    }),
    { numRuns: 300 },
  );
});

test('the length is reported before the payload arrives', () => {
  const found: FrameHeader[] = [];
  const listener = { onFrame: (header: FrameHeader) => void found.push(header), onPayload: () => {} };
  const header = Buffer.from([0x02, 0x7f, 0, 0, 0, 1, 0, 0, 0, 0]);
  for (const byte of header) new FrameMeter(listener).read(Buffer.of(byte));
  expect(found).toEqual([]);
  const meter = new FrameMeter(listener);
  for (const byte of header) meter.read(Buffer.of(byte));
  expect(found).toEqual([{ payloadBytes: 2 ** 32, isFinal: false }]);
});
