import { describe, expect, test } from 'vitest';
import { type CheckOptions, checkJson } from '../../../src/codec/json/check.ts';
import { parseJson } from '../../../src/codec/json/parse.ts';
import { CarryoverError } from '../../../src/errors.ts';
import { fc } from '../../helpers/seed.ts';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function faultOf(text: string | Buffer, options?: CheckOptions): CarryoverError | undefined {
  try {
    checkJson(Buffer.from(text), options);
  } catch (error) {
    if (error instanceof CarryoverError) return error;
    throw error;
  }
  return undefined;
}

/** The index of the byte at which a text stops being JSON. */
function byteOf(text: string): number | undefined {
  const fault = faultOf(text);
  if (fault?.code !== 'malformed_json') return undefined;
  return text === '' ? 0 : Number(/at byte (\d+)/.exec(fault.message)![1]);
}

describe('malformed JSON', () => {
  test.each([
    ['  ', 2, '', 'a value'],
    ['{"x":[[1,2],[3,}', 15, '/x/1/1', 'a value'],
    ['{"x":[[1,2],[3,4]', 17, '/x/1', '`,` or `]`'],
    ['{"x":[[1,2],[3,4]]', 18, '/x', '`,` or `}`'],
    ['{"x":[1,]}', 8, '/x/1', 'a value'],
    ['{"x":[01]}', 7, '/x/0', '`,` or `]`'],
    ['{"x":[1.]}', 8, '/x/0', 'a digit'],
    ['{"x":[-]}', 7, '/x/0', 'a digit'],
    ['{"x":[1e]}', 8, '/x/0', 'a digit'],
    ['{"x":[1,2e]}', 10, '/x/1', 'a digit'],
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
    ['{"жé😀":}', 12, '/жé😀', 'a value'],
  ])('%s', (text, byte, pointer, expected) => {
    const fault = faultOf(text)!;
    const place = pointer === '' ? '' : `, in ${pointer}`;
    expect(fault.code).toBe('malformed_json');
    expect(fault.message).toContain(`Not JSON at byte ${byte}${place}: expected ${expected}, got `);
    expect(fault.errors).toEqual([{ pointer, message: fault.message }]);
  });

  test('a document from which something is removed is malformed exactly if JSON.parse refuses it', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.nat({ max: 3 }), (json, start, count) => {
        const at = start % (json.length + 1);
        const text = json.slice(0, at) + json.slice(at + count);
        expect(faultOf(text)?.code === 'malformed_json', text).toBe(!isJson(text));
      }),
    );
  });

  test('the error is located at the first wrong byte: what is before it is the beginning of some JSON', () => {
    // The text up to that byte is refused only at its end, so nothing before is wrong.
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.string({ minLength: 1, maxLength: 3 }), (json, start, added) => {
        const at = start % (json.length + 1);
        const text = json.slice(0, at) + added + json.slice(at);
        const byte = byteOf(text);
        if (byte === undefined) return;
        const prefix = Buffer.from(text).subarray(0, byte).toString();
        const again = byteOf(prefix);
        expect(again === undefined || again === Buffer.byteLength(prefix), prefix).toBe(true);
      }),
    );
  });

  test('the error reports the character found, and bytes that are not UTF-8 as such', () => {
    expect(() => parseJson(Buffer.from('{"жé😀":}'))).toThrow(
      'Not JSON at byte 12, in /жé😀: expected a value, got "}".',
    );
    expect(() => checkJson(Buffer.from([0x22, 0xc3, 0x28, 0x22]))).toThrow('The body is not valid UTF-8.');
    expect(() => checkJson(Buffer.alloc(0))).toThrow('The body is empty; expected a JSON object.');
  });

  test('the error is located at any depth; a long pointer is shortened in its middle', () => {
    const fault = faultOf('['.repeat(100_000))!;
    expect(fault.message).toContain('byte 100000');
    expect(fault.errors[0]!.pointer).toBe(`${'/0'.repeat(8)}/…${'/0'.repeat(8)}`);
  });
});

describe('a key that appears twice', () => {
  test.each([
    ['{"x":1,"x":1}', '/x'],
    ['{"x":1,"\\u0078":2}', '/x'],
    ['[{"a":{"b":1,"c":2,"b":3}}]', '/0/a/b'],
    ['{"__proto__":1,"__proto__":2}', '/__proto__'],
  ])('%s', (text, pointer) => {
    expect(faultOf(text)).toMatchObject({ code: 'duplicate_key', errors: [{ pointer }] });
  });

  test('the key may be in several objects, and is reported after faults of the grammar', () => {
    expect(faultOf('[{"a":1},{"a":{"a":2}}]')).toBeUndefined();
    expect(faultOf('{"a":1,"a":2')?.code).toBe('malformed_json');
  });
});

const tensors = { names: ['x', 'h'], lists: ['h'], rankMax: 3 };

describe('a tensor', () => {
  test.each([
    ['{"x":[[1,2],[3,4]],"h":[1e38,-3.4e38,1e-400]}'],
    ['{"x":[[[1],[2]],[[3],[4]]],"other":[[1],[2,3],{}],"a":{"h":[0]}}'],
    ['{"x":5,"h":null}'],
    ['{"h":[[[1,2]],[[3],[4]],null,[ [5] ]],"x":[1]}'],
    ['{"h":[ null,[[1]],[2,3]],"a":[{"h":[[1]]}]}'],
  ])('this is a tensor: %s', (text) => {
    expect(faultOf(text, { tensors })).toBeUndefined();
  });

  test.each([
    ['{"x":[[1,2],[3]]}', 'ragged_array', '/x/1 has 1 elements; its first sibling has 2.'],
    ['{"x":[[[1],[2]],[[3]]]}', 'ragged_array', '/x/1 has 1 elements; its first sibling has 2.'],
    ['{"a":{"x":[[1],[2],[3,4]]}}', 'ragged_array', '/a/x/2 has 2 elements; its first sibling has 1.'],
    ['{"x":[[1,2],[3,null]]}', 'invalid_request', '/x/1/1 must be a number, got null.'],
    ['{"x":[[1,2],3]}', 'invalid_request', '/x/1 must be an array, got 3.'],
    ['{"x":[1,[2]]}', 'invalid_request', '/x/1 must be a number, got an array.'],
    ['{"x":[1,{"h":[[]]}]}', 'invalid_request', '/x/1 must be a number, got an object.'],
    ['{"x":["1"]}', 'invalid_request', '/x/0 must be a number or an array of them, got "1".'],
    ['{"x":[[[[1]]]]}', 'invalid_request', '/x/0/0/0 must be a number, got an array.'],
    ['{"x":[]}', 'invalid_request', '/x must not be empty.'],
    ['{"x":[[1],[]]}', 'invalid_request', '/x/1 must not be empty.'],
    ['{"x":[null,[[1]]]}', 'invalid_request', '/x/0 must be a number or an array of them, got null.'],
    ['{"h":[[1],null]}', 'invalid_request', '/h/1 must be an array, got null.'],
    ['{"h":[[[1]],2,{}]}', 'invalid_request', '/h/1 must be an array of arrays of numbers, or null, got 2.'],
    ['{"h":[null,{"h":[[1,2],[3]]}]}', 'invalid_request', '/h/1 must be an array of arrays of numbers, or null, got an object.'],
    ['{"h":[null,[[1],[2,3]]]}', 'ragged_array', '/h/1/1 has 2 elements; its first sibling has 1.'],
    ['{"h":[[[1]],[[1],null]]}', 'invalid_request', '/h/1/1 must be an array, got null.'],
    ['{"h":[null,[]]}', 'invalid_request', '/h/1 must not be empty.'],
    ['{"x":[[1,1e39]]}', 'out_of_range', '/x/0/1 is beyond float32, whose largest magnitude is 3.4028235e38.'],
  ])('this is no tensor: %s', (text, code, message) => {
    const pointer = message.slice(0, message.indexOf(' '));
    expect(faultOf(text, { tensors })).toMatchObject({ code, message, errors: [{ pointer, message }] });
    expect(faultOf(`${text}!`, { tensors })?.code).toBe('malformed_json');
  });
});

describe('a document at the bounds', () => {
  const bounds = { depthMax: 3, containersMax: 6, keysMax: 5, tensorsMax: 2, bytesMax: 100 };
  const rows = '[1,2],'.repeat(1_000);

  test.each([
    [`{"x":[${rows}[1,2]],"h":[[${'1'.repeat(30)}]],"q":[[1]],"a":{},"b":[{}]}`],
    [`{"q":"${'a'.repeat(92)}"}`],
    [`{"q" :  ${' '.repeat(200)}[1,\n\n2 ] ,"x": [ 1,${' '.repeat(200)}2 ] }${' '.repeat(200)}`],
  ])('a document at the bounds is read: %#', (text) => {
    expect(faultOf(text, { tensors, bounds })).toBeUndefined();
  });

  test.each([
    ['{"q":[[[1]]]}', '3 arrays and objects within each other'],
    ['[[],[],[],[],[],[]]', '6 arrays and objects'],
    ['{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}', '5 keys'],
    ['{"x":[1],"a":{"x":[1]},"h":[1]}', '2 tensors, one for each item of a batch'],
    [`{"q":"${'a'.repeat(93)}"}`, '100 bytes'],
    [`{"x":[0.${'1'.repeat(93)}]}`, '100 bytes'],
  ])('a document beyond a bound is not read to its end: %#', (text, bound) => {
    expect(faultOf(text, { tensors, bounds })).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(`more than ${bound}, which no request needs`),
    });
    expect(faultOf(text)).toBeUndefined();
  });

  test('errors before the bound are reported', () => {
    const long = `[${rows}[1]],"q":"${'a'.repeat(100)}",!`;
    expect(faultOf(`{"x":${long}`, { tensors, bounds })?.code).toBe('ragged_array');
    expect(faultOf(`{"x":1,"x":${long}`, { tensors, bounds })?.code).toBe('duplicate_key');
  });
});
