import { describe, expect, test } from 'vitest';
import { parseJson } from '../../../src/codec/json/parse.ts';
import { fc } from '../../helpers/seed.ts';

const read = (text: string) => parseJson(Buffer.from(text));
const refusal = (code: string) => expect.objectContaining({ code });

describe('parseJson', () => {
  test('any JSON value is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(read(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('strings with quotes, colons and backslashes are read correctly', () => {
    const tricky = { 'a"b': 'c:d', 'e\\': ['f\\\\"', { '"': ':' }], ':': '":' };
    expect(read(JSON.stringify(tricky, null, 2))).toEqual(tricky);
    expect(read('{"a" \n\t :1}')).toEqual({ a: 1 });
  });

  test.each([
    ['{"x":1,"x":1}', 'x'],
    ['{"x":1,"\\u0078":2}', 'x'],
    ['{"a":{"b":1,"c":2,"b":3}}', 'b'],
    ['[[1],{"k":[2],"k" : []}]', 'k'],
    ['{"x":{"y":1},"x":2}', 'x'],
    ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ])('a key that appears twice is refused: %s', (text, key) => {
    expect(() => read(text)).toThrow(refusal('duplicate_key'));
    expect(() => read(text)).toThrow(new RegExp(key));
  });

  test('one key may appear in several objects', () => {
    expect(read('[{"a":1},{"a":{"a":2}}]')).toEqual([{ a: 1 }, { a: { a: 2 } }]);
  });

  test.each(['', ' ', '{', '[1,]', '01', 'NaN', '{"a":1}x', "{'a':1}", '\ufeff{}', '"\t"'])(
    'malformed JSON is refused: %j',
    (text) => {
      expect(() => read(text)).toThrow(refusal('malformed_json'));
    },
  );

  test('bytes that are not UTF-8 are refused, not replaced', () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]);
    expect(() => parseJson(bytes)).toThrow(refusal('malformed_json'));
  });

  test('a document of any depth is parsed or refused without a stack overflow', () => {
    const depth = 100_000;
    const deep = `${'[{"a":'.repeat(depth)}1${'}]'.repeat(depth)}`;
    expect(() => read(deep)).not.toThrow();
    expect(() => read('['.repeat(depth))).toThrow(refusal('malformed_json'));
  });
});
