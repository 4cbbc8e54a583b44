import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { locateMalformed } from '../../src/codec/json-locate.ts';
import { readJson } from '../../src/codec/json-read.ts';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('locateMalformed', () => {
  test.each([
    ['', 0, '', 'a value'],
    ['  ', 2, '', 'a value'],
    ['{"x":[[1,2],[3,}', 15, '/x/1/1', 'a value'],
    ['{"x":[[1,2],[3,4]', 17, '/x/1', '`,` or `]`'],
    ['{"x":[[1,2],[3,4]]', 18, '/x', '`,` or `}`'],
    ['{"x":[1,]}', 8, '/x/1', 'a value'],
    ['{"x":[01]}', 7, '/x/0', '`,` or `]`'],
    ['{"x":[1.]}', 8, '/x/0', 'a digit'],
    ['{"x":[-]}', 7, '/x/0', 'a digit'],
    ['{"x":[1e]}', 8, '/x/0', 'a digit'],
    ['{"x":[NaN]}', 6, '/x/0', 'a value or `]`'],
    ['{"x":[nul]}', 9, '/x/0', '`null`'],
    ['{"x" 1}', 5, '/x', '`:`'],
    ['{"x":1,}', 7, '', 'a key in double quotes'],
    ['{x:1}', 1, '', 'a key in double quotes or `}`'],
    ['{"a/b~c":{"d":?', 14, '/a~1b~0c/d', 'a value'],
    ['{"x":"\t"}', 6, '/x', 'no control character in a string'],
    ['{"x":"\\u00g0"}', 10, '/x', 'a hexadecimal digit'],
    ['{"x":"a', 7, '/x', 'the end of the string'],
    ['{"x":1} 2', 8, '', 'the end of the body'],
    ['[1}', 2, '/0', '`,` or `]`'],
  ])('%s', (text, at, pointer, expected) => {
    expect(locateMalformed(text)).toEqual({ at, pointer, expected });
  });

  test('agrees with JSON.parse about what is JSON, whatever is cut out of it', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.nat({ max: 3 }), (json, start, count) => {
        const at = start % (json.length + 1);
        const text = json.slice(0, at) + json.slice(at + count);
        expect(locateMalformed(text) === undefined, text).toBe(isJson(text));
      }),
    );
  });

  test('what is before the place can be gone on with: only the place is wrong', () => {
    // A text that ends there is refused at its end, so nothing earlier was wrong.
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.string({ minLength: 1, maxLength: 3 }), (json, start, added) => {
        const at = start % (json.length + 1);
        const found = locateMalformed(json.slice(0, at) + added + json.slice(at));
        if (!found) return;
        const prefix = (json.slice(0, at) + added + json.slice(at)).slice(0, found.at);
        const again = locateMalformed(prefix);
        expect(again === undefined || again.at === prefix.length, prefix).toBe(true);
      }),
    );
  });

  test('cuts a deep pointer in its middle', () => {
    const { pointer, at } = locateMalformed('['.repeat(100_000))!;
    expect(at).toBe(100_000);
    expect(pointer).toBe(`${'/0'.repeat(8)}/…${'/0'.repeat(8)}`);
  });
});

test('the error counts bytes, not characters', () => {
  expect(() => readJson(Buffer.from('{"жé😀":}'))).toThrow(
    'Not JSON at byte 12, in /жé😀: expected a value, got "}".',
  );
});
