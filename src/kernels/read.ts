// Takes the tensors out of a JSON document: their numbers become float32, and the rest, the skeleton, is a small
// document for JSON.parse.
//
//   {"x": [[0.5, 1], [2, 3]], "trace": true}   →   {"x": [[0.5,0]], "trace": true}   and   0.5 1 2 3
//
// A tensor is an array after one of the given names: rectangular, of 1 to RANK_MAX axes, numbers only. After some of
// the names an array is a list if it begins with null or with an array of arrays: then each of its elements is null or
// a tensor by itself, as the states of layers of different sizes are:
//
//   {"h": [[[0.5, 1]], [[2]]]}   →   {"h": [[[0.5,0]],[[2,1]]]}   and   0.5 1   and   2
//
// In the skeleton the placeholder of a tensor is an array of as many axes with the tensor's first number, which errors
// quote, and its index. All else is copied as it is, but of several white-space characters only the first. So the
// document is valid JSON if and only if its skeleton is: strings end at their quotes as in any JSON, and a valid array
// is replaced by another.
//
// The kernel declines whatever no valid request contains (a ragged array, a number beyond float32, a million keys, …):
// it ends with READ_SKELETON_END = 0, and codec/json/check.ts, which has the same bounds, reports what is wrong.
import {
  CONTAINERS_MAX,
  DEPTH_MAX,
  KEYS_MAX,
  RANK_MAX,
  READ_KEYS,
  READ_NAME_LIST,
  READ_OUTSIDE_MAX,
  READ_SKELETON,
  READ_SKELETON_END,
  READ_TENSORS,
  READ_TENSORS_END,
  READ_INPUT,
  READ_INPUT_END,
  TENSORS_MAX,
  TENSOR_BYTES,
  TENSOR_NUMBERS,
  TENSOR_RANK,
  TENSOR_SHAPE,
} from './layout';
import {
  BACKSLASH,
  CLOSE,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  MINUS,
  OPEN,
  OPEN_OBJECT,
  PLUS,
  POINT,
  QUOTE,
  SMALL_E,
  SMALL_L,
  SMALL_N,
  SMALL_U,
  ZERO,
  isSpace,
  skipSpace,
} from './ascii';
import { nameOf } from './read-names';
import { endNumbers, numbers, readRow, startNumbers } from './read-numbers';

/** Reads the document of the record at `job`. */
export function read(job: usize): void {
  const end = <usize>load<u32>(job, READ_INPUT_END);
  const tensorsMax = <usize>load<u32>(job, READ_TENSORS) + TENSORS_MAX * TENSOR_BYTES;
  let at = <usize>load<u32>(job, READ_INPUT);
  let skeleton = <usize>load<u32>(job, READ_SKELETON);
  let tensor = <usize>load<u32>(job, READ_TENSORS);
  /** Bytes outside tensors that are left of READ_OUTSIDE_MAX. */
  let outsideLeft = <usize>load<u32>(job, READ_OUTSIDE_MAX);
  let keys: i32 = 0;
  let containers: i32 = 0;
  /** Negative only in a document that is no JSON. */
  let depth: i32 = 0;
  /** The depth within the list of tensors that is open; 0 if none is. */
  let listDepth: i32 = 0;
  startNumbers(job);
  store<u32>(job, 0, READ_SKELETON_END);

  while (at < end) {
    const character = load<u8>(at);
    if (isSpace(character)) {
      store<u8>(skeleton++, character);
      at = skipSpace(at + 1);
      continue;
    }
    if (listDepth && character == OPEN) {
      if (tensor == tensorsMax) return;
      const first = firstNumber(at);
      const firstSize = endOfNumber(first) - first;
      at = readTensor(at, tensor);
      if (!at || firstSize > outsideLeft) return;
      outsideLeft -= firstSize;
      skeleton = placeholder(skeleton, load<u32>(tensor, TENSOR_RANK), first, firstSize, indexOf(job, tensor));
      tensor += TENSOR_BYTES;
      continue;
    }
    if (listDepth && !isInList(character)) return;
    if (character != QUOTE) {
      if (outsideLeft-- == 0) return;
      if (character == OPEN || character == OPEN_OBJECT) {
        if (++containers > CONTAINERS_MAX || ++depth > DEPTH_MAX) return;
      } else if (character == CLOSE || character == CLOSE_OBJECT) {
        depth--;
        listDepth = 0;
      }
      store<u8>(skeleton++, character);
      at++;
      continue;
    }
    const next = endOfString(at, end);
    const value = valueAfter(next, end);
    let array: usize = 0;
    let isList = false;
    if (value) {
      if (++keys > KEYS_MAX) return;
      const name = nameOf(job, at + 1, next - 1);
      if (name && load<u8>(value) == OPEN) {
        array = value;
        isList = load<u8>(name, READ_NAME_LIST) != 0 && beginsList(value);
      }
    }
    const size = next - at;
    if (size > outsideLeft) return;
    memory.copy(skeleton, at, size);
    skeleton += size;
    outsideLeft -= size;
    at = next;
    if (!array) continue;

    if (outsideLeft-- == 0) return;
    store<u8>(skeleton++, COLON);
    at = array;
    if (isList) {
      if (outsideLeft-- == 0 || ++containers > CONTAINERS_MAX || ++depth > DEPTH_MAX) return;
      listDepth = depth;
      store<u8>(skeleton++, OPEN);
      at++;
      continue;
    }
    if (tensor == tensorsMax) return;
    const first = firstNumber(at);
    const firstSize = endOfNumber(first) - first;
    at = readTensor(at, tensor);
    if (!at || firstSize > outsideLeft) return;
    outsideLeft -= firstSize;
    skeleton = placeholder(skeleton, load<u32>(tensor, TENSOR_RANK), first, firstSize, indexOf(job, tensor));
    tensor += TENSOR_BYTES;
  }
  if (!endNumbers()) return;
  store<u32>(job, <u32>tensor, READ_TENSORS_END);
  store<u32>(job, keys, READ_KEYS);
  store<u32>(job, <u32>skeleton, READ_SKELETON_END);
}

/** How many of `size` bytes are commas. A document has at most one number more than commas. */
export function countCommas(input: usize, size: u32): u32 {
  const end = input + size;
  let count: u32 = 0;
  for (; input + 16 <= end; input += 16) {
    count += popcnt(i8x16.bitmask(i8x16.eq(v128.load(input), i8x16.splat(COMMA))));
  }
  for (; input < end; input++) count += <u32>(load<u8>(input) == COMMA);
  return count;
}

/** Address after the string that begins with a quote at `at`; `end` if it is not closed. */
function endOfString(at: usize, end: usize): usize {
  for (at++; at < end; at++) {
    const character = load<u8>(at);
    if (character == QUOTE) return at + 1;
    if (character == BACKSLASH) at++;
  }
  return end;
}

/** Address of the value if the string that ends at `at` is a key; 0 if it is none. */
function valueAfter(at: usize, end: usize): usize {
  at = skipSpace(at);
  if (at >= end || load<u8>(at) != COLON) return 0;
  return skipSpace(at + 1);
}

/** Whether the array at `at` begins with null or with an array of arrays. */
function beginsList(at: usize): bool {
  at = skipSpace(at + 1);
  return load<u8>(at) == SMALL_N || (load<u8>(at) == OPEN && load<u8>(skipSpace(at + 1)) == OPEN);
}

/** Whether a list may have the character outside its tensors: those of null, commas and the end of the list. */
function isInList(character: u8): bool {
  if (character == COMMA || character == CLOSE) return true;
  return character == SMALL_N || character == SMALL_U || character == SMALL_L;
}

/** The index of a tensor in the document. */
function indexOf(job: usize, tensor: usize): u32 {
  return <u32>((tensor - load<u32>(job, READ_TENSORS)) / TENSOR_BYTES);
}

/** Address of the first number of the array at `at`, after its opening brackets. */
function firstNumber(at: usize): usize {
  while (load<u8>(at) == OPEN) at = skipSpace(at + 1);
  return at;
}

/** Address after the characters at `at` that may be part of a number. */
function endOfNumber(at: usize): usize {
  for (; ; at++) {
    const character = load<u8>(at);
    if (character - ZERO <= 9 || character == POINT || (character | 0x20) == SMALL_E) continue;
    if (character != MINUS && character != PLUS) break;
  }
  return at;
}

/** Writes [[first,index]] to `at`, with as many brackets as the tensor has axes; returns the address after it. */
function placeholder(at: usize, rank: u32, first: usize, firstSize: usize, index: u32): usize {
  for (let i: u32 = 0; i < rank; i++) store<u8>(at++, OPEN);
  memory.copy(at, first, firstSize);
  at += firstSize;
  store<u8>(at++, COMMA);
  if (index >= 100) store<u8>(at++, <u8>(index / 100) + ZERO);
  if (index >= 10) store<u8>(at++, <u8>((index / 10) % 10) + ZERO);
  store<u8>(at++, <u8>(index % 10) + ZERO);
  for (let i: u32 = 0; i < rank; i++) store<u8>(at++, CLOSE);
  return at;
}

/**
 * Reads the array at `at` and writes its tensor record. Returns the address after the array; 0 if the kernel declines
 * it.
 */
function readTensor(at: usize, tensor: usize): usize {
  let rank: u32 = 0;
  for (; load<u8>(at) == OPEN; at = skipSpace(at + 1)) rank++;
  if (rank > <u32>RANK_MAX) return 0;
  store<u32>(tensor, <u32>numbers, TENSOR_NUMBERS);
  store<u32>(tensor, rank, TENSOR_RANK);

  // The sizes of the first row and the first matrix, which all others must have.
  let rowSize: usize = 0;
  let rowCount: u32 = 0;
  let matrixSize: u32 = 0;
  let matrixCount: u32 = 0;
  for (;;) {
    const rowStart = numbers;
    at = readRow(at);
    if (!at) return 0;
    const size = numbers - rowStart;
    if (!rowSize) rowSize = size;
    else if (size != rowSize) return 0;
    if (rank == 1) break;

    rowCount++;
    at = skipSpace(at);
    if (load<u8>(at) == CLOSE) {
      at++;
      if (!matrixSize) matrixSize = rowCount;
      else if (rowCount != matrixSize) return 0;
      if (rank == 2) break;

      rowCount = 0;
      matrixCount++;
      at = skipSpace(at);
      if (load<u8>(at) == CLOSE) {
        at++;
        break;
      }
      if (load<u8>(at) != COMMA) return 0;
      at = skipSpace(at + 1);
      if (load<u8>(at) != OPEN) return 0;
      at = skipSpace(at + 1);
    } else {
      if (load<u8>(at) != COMMA) return 0;
      at = skipSpace(at + 1);
    }
    if (load<u8>(at) != OPEN) return 0;
    at = skipSpace(at + 1);
  }
  const columns = <u32>(rowSize >> 2);
  store<u32>(tensor, rank == 1 ? columns : rank == 2 ? matrixSize : matrixCount, TENSOR_SHAPE);
  store<u32>(tensor, rank == 2 ? columns : matrixSize, TENSOR_SHAPE + 4);
  store<u32>(tensor, columns, TENSOR_SHAPE + 8);
  return at;
}
