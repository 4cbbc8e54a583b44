// The worst bodies known, of any length: legal and illegal ones, each of which once blocked the event loop for
// seconds, or used up the heap, when it was parsed into JavaScript values.

export interface WorstBody {
  readonly name: string;
  /** What POST /v1/step refuses it with, the model being the built-in one. */
  readonly code: string | undefined;
  /** @param bytes its length, or a little less */
  readonly make: (bytes: number) => Buffer;
}

/** As many items as fit. */
function repeated(head: string, item: string, tail: string) {
  return (bytes: number) => {
    const count = Math.floor((bytes - head.length - tail.length) / item.length);
    return Buffer.concat([Buffer.from(head), Buffer.alloc(count * item.length, item), Buffer.from(tail)]);
  };
}

/** Items that differ. */
function listed(head: string, item: (i: number) => string, tail: string) {
  return (bytes: number) => {
    const items: string[] = [];
    for (let i = 0, bytesLeft = bytes - head.length - tail.length - 32; bytesLeft > 0; i++) {
      items.push(item(i));
      bytesLeft -= items[i]!.length;
    }
    return Buffer.from(head + items.join('') + tail);
  };
}

function nested(head: string, open: string, inner: string, close: string, tail: string) {
  return (bytes: number) => {
    const depth = Math.floor((bytes - head.length - inner.length - tail.length) / (open.length + close.length));
    return Buffer.from(head + open.repeat(depth) + inner + close.repeat(depth) + tail);
  };
}

const X = '{"model":"sunspots","x":[';
const DIGITS_400 = `0.${'1234567890'.repeat(40)}`;
/** The middle of 1 and the next float32, with zeros behind it. */
const HALFWAY = `1.000000059604644775390625${'0'.repeat(40)}`;

export const WORST_JSON: readonly WorstBody[] = [
  { name: 'numbers of one digit', code: 'shape_mismatch', make: repeated(`${X}[`, '1,', '1]]}') },
  { name: 'numbers of nine digits', code: 'shape_mismatch', make: repeated(`${X}[`, '0.12345678,', '1]]}') },
  { name: 'numbers of 400 digits', code: 'shape_mismatch', make: repeated(`${X}[`, `${DIGITS_400},`, '1]]}') },
  { name: 'numbers between two float32', code: 'shape_mismatch', make: repeated(`${X}[`, `${HALFWAY},`, '1]]}') },
  { name: 'numbers below float32', code: 'shape_mismatch', make: repeated(`${X}[`, '1e-400,', '1]]}') },
  { name: 'rows of one number', code: 'limit_exceeded', make: repeated(X, '[1],', '[1]]}') },
  { name: 'numbers beyond float32', code: 'out_of_range', make: repeated(`${X}[`, '1e999,', '1]]}') },
  { name: 'one number beyond float32, the last', code: 'out_of_range', make: repeated(`${X}[`, '1e38,', '1e39]]}') },
  { name: 'one long number', code: 'invalid_request', make: repeated(`${X}[[0.`, '1', ']]}') },
  { name: 'a ragged row, the last', code: 'ragged_array', make: repeated(X, '[1],', '[1,2]]}') },
  { name: 'an object behind rows', code: 'invalid_request', make: repeated(X, '[1],', '{}]}') },
  { name: 'objects in place of rows', code: 'invalid_request', make: repeated(X, '{},', '[1]]}') },
  { name: 'rows without numbers', code: 'invalid_request', make: repeated(X, '[],', '[1]]}') },
  { name: 'garbage behind numbers', code: 'malformed_json', make: repeated(`${X}[`, '1,', '1]]!') },
  { name: 'commas', code: 'malformed_json', make: repeated(X, ',', ']}') },
  { name: 'a tensor of a million axes', code: 'invalid_request', make: nested('{"x":', '[', '1', ']', '}') },
  { name: 'arrays in arrays', code: 'invalid_request', make: nested('{"q":', '[', '1', ']', '}') },
  { name: 'arrays that do not end', code: 'invalid_request', make: repeated('{"q":', '[', '') },
  { name: 'objects in objects', code: 'invalid_request', make: nested('', '{"a":', '1', '}', '') },
  { name: 'arrays beside arrays', code: 'invalid_request', make: repeated('{"q":[', '[],', '[]]}') },
  { name: 'one key again and again', code: 'duplicate_key', make: repeated('{', '"":0,', '"a":1}') },
  { name: 'many keys', code: 'invalid_request', make: listed('{', (i) => `"k${i}":0,`, '"z":0}') },
  { name: 'keys that are numbers', code: 'invalid_request', make: listed('{', (i) => `"${(i * 1_000_003) % 4_294_967_291}":0,`, '"z":0}') },
  { name: 'many tensors', code: 'invalid_request', make: repeated('{"q":[', '{"x":[1]},', '0]}') },
  { name: 'one key of escapes', code: 'invalid_request', make: repeated('{"', '\\\\', '":1}') },
  { name: 'a string of escapes', code: 'invalid_request', make: repeated('{"model":"', '\\u0041', '"}') },
  { name: 'many strings', code: 'invalid_request', make: repeated('{"q":[', '"",', '""]}') },
  { name: 'a string that does not end', code: 'malformed_json', make: repeated('{"q":"', 'a', '') },
  { name: 'white space', code: undefined, make: repeated(`${X}[1]]`, ' ', '}') },
  { name: 'lengths without end', code: 'invalid_request', make: repeated(`${X}[1]],"lengths":[`, '1,', '1]}') },
  { name: 'what is no UTF-8', code: 'malformed_json', make: (bytes) => Buffer.alloc(bytes, 0xc3) },
];

/** A file of this header, and zeros up to its length. */
function file(headerOf: (bytes: number) => Buffer) {
  return (bytes: number) => {
    const header = headerOf(bytes - 8);
    const whole = Buffer.alloc(8 + header.length);
    whole.writeBigUInt64LE(BigInt(header.length));
    header.copy(whole, 8);
    return whole;
  };
}

const EMPTY = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';
const refused = 'malformed_safetensors';

export const WORST_FILES: readonly WorstBody[] = [
  { name: 'many keys of metadata', code: refused, make: file(listed('{"__metadata__":{', (i) => `"${i}":"",`, '"z":""}}')) },
  { name: 'one key of metadata again and again', code: refused, make: file(repeated('{"__metadata__":{', '"":"",', '"z":""}}')) },
  { name: 'many tensors', code: refused, make: file(listed('{', (i) => `"${i}":${EMPTY},`, `"z":${EMPTY}}`)) },
  { name: 'one tensor of a million axes', code: refused, make: file(repeated('{"x":{"dtype":"F32","shape":[', '1,', '1],"data_offsets":[0,0]}}')) },
  { name: 'arrays in arrays', code: refused, make: file(nested('{"x":', '[', '1', ']', '}')) },
  { name: 'objects beside objects', code: refused, make: file(repeated('{"x":[', '{},', '{}]}')) },
  { name: 'one name of escapes', code: refused, make: file(repeated('{"', '\\u0041', '":{}}')) },
  { name: 'white space', code: refused, make: file(repeated('', ' ', '{}')) },
];
