// The header traceparent, as W3C Trace Context has it read: what is not valid is ignored.
import { describe, expect, test } from 'vitest';
import { readTraceparent, writeTraceparent } from '../src/trace-context.ts';
import { fc } from './helpers/seed.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const VALID = `00-${TRACE}-${SPAN}-01`;

describe('readTraceparent', () => {
  test.each([
    ['sampled', VALID, 1],
    ['not sampled', `00-${TRACE}-${SPAN}-00`, 0],
    ['with a random trace id', `00-${TRACE}-${SPAN}-03`, 3],
    ['with flags that no version has', `00-${TRACE}-${SPAN}-fd`, 1],
    ['of a later version', `01-${TRACE}-${SPAN}-01`, 1],
    ['of a later version, with more fields', `cc-${TRACE}-${SPAN}-01-what-comes-later`, 1],
    ['of a later version, and as long as a head may be', `cc-${TRACE}-${SPAN}-01-${'x'.repeat(15_000)}`, 1],
  ])('%s', (_, header, flags) => {
    expect(readTraceparent(header)).toEqual({ traceId: TRACE, spanId: SPAN, flags });
  });

  test.each([
    ['none', undefined],
    ['empty', ''],
    ['several', `${VALID}, ${VALID}`],
    ['several, not joined', [VALID, VALID]],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['version 00 with more fields', `${VALID}-00`],
    ['a later version that does not end its flags', `01-${TRACE}-${SPAN}-011`],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['capital digits', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['other characters', `00-${TRACE.slice(1)}g-${SPAN}-01`],
    ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['a space before', ` ${VALID}`],
    ['a space after', `${VALID} `],
    ['a line break after', `${VALID}\n`],
    ['no flags', `00-${TRACE}-${SPAN}`],
  ])('not: %s', (_, header) => {
    expect(readTraceparent(header)).toBeUndefined();
  });

  test('whatever is sent is read or ignored', () => {
    const nearlyValid = fc
      .tuple(fc.nat(VALID.length), fc.nat(3), fc.string({ maxLength: 4 }))
      .map(([at, cut, put]) => VALID.slice(0, at) + put + VALID.slice(at + cut));
    fc.assert(
      fc.property(fc.oneof(fc.string(), nearlyValid), (header) => {
        const found = readTraceparent(header);
        // What was read can be passed on.
        expect(found && readTraceparent(writeTraceparent(found))).toEqual(found);
      }),
    );
  });
});
