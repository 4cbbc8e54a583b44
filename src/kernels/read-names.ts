// The names after which a JSON document has tensors: READ_NAMES of the record, READ_NAME_BYTES each.
import { READ_NAMES, READ_NAMES_END, READ_NAME_BYTES } from './layout';
import { BACKSLASH, SMALL_A, SMALL_U, ZERO } from './ascii';

/** Address of the name of a tensor that is the key from `at` to `end`, without its quotes; 0 if it is none. */
export function nameOf(job: usize, at: usize, end: usize): usize {
  const namesEnd = <usize>load<u32>(job, READ_NAMES_END);
  for (let name = <usize>load<u32>(job, READ_NAMES); name < namesEnd; name += READ_NAME_BYTES) {
    if (isSame(name + 1, name + 1 + load<u8>(name), at, end)) return name;
  }
  return 0;
}

/** Whether key and name are equal. The letters and `_` of names have one escaped form in JSON: `\u0078`. */
function isSame(name: usize, nameEnd: usize, at: usize, end: usize): bool {
  for (; name < nameEnd && at < end; name++) {
    if (load<u8>(at) == load<u8>(name)) at++;
    else if (load<u8>(at) == BACKSLASH && codeOf(at) == load<u8>(name)) at += ESCAPE_BYTES;
    else return false;
  }
  return name == nameEnd && at == end;
}

const ESCAPE_BYTES: usize = 6;

/** The character code of the `\u` escape at `at`; 0 for any other escape. */
function codeOf(at: usize): u32 {
  if (load<u8>(at, 1) != SMALL_U) return 0;
  let code: u32 = 0;
  for (let i: usize = 2; i < ESCAPE_BYTES; i++) {
    const character = load<u8>(at + i);
    const digit = <u8>(character - ZERO);
    const letter = <u8>((character | 0x20) - SMALL_A);
    if (digit > 9 && letter > 5) return 0;
    code = (code << 4) | (digit <= 9 ? digit : letter + 10);
  }
  return code;
}
