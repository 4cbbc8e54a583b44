// The tensors of a state dict that torch.save wrote in its zip format:
//
//   archive/data.pkl    a pickle: a dict of tensors, each with the key of its storage, offset, shape and strides
//   archive/data/KEY    a storage: the numbers of one tensor or of several, little-endian
//   archive/byteorder   `little`, in files of torch 2.1 and newer
//
// https://pytorch.org/docs/stable/notes/serialization.html
import type { Dtype } from '../../tensor.ts';
import { ELEMENT_BYTES, numbersIn } from '../dtypes.ts';
import { type SafeTensor, tensorInPlace } from '../safetensors/read.ts';
import type { Entries } from '../zip/stored-entries.ts';
import { OF_SCRIPT, OF_TENSORS_ALONE, malformed, notRead, ofEntry } from './errors.ts';
import { Global, type Globals, readPickle } from './pickle.ts';

const PICKLE = 'data.pkl';
/** Only in archives of torch.jit.save. */
const SCRIPT_PARTS = ['constants.pkl', 'code/'];
/** The keys under which training programs keep the state dict beside other values. */
const NESTED_KEYS = ['state_dict', 'model_state_dict', 'model'];

const DTYPES: Readonly<Record<string, Dtype>> = {
  'torch.FloatStorage': 'F32',
  'torch.DoubleStorage': 'F64',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
};
/** A counter of BatchNorm in training, which nothing is computed from. */
const COUNTER = /(?:^|\.)num_batches_tracked$/;
/** Storages that may be named, and are refused with the tensor that has one. */
const STORAGE = /^torch\.\w+Storage$/;
/** Elements that may be put into their order, of all tensors of a file: it takes some milliseconds. */
const REORDERED_MAX = 2 ** 19;

class Storage {
  readonly type: string;
  readonly bytes: Uint8Array;

  constructor(type: string, bytes: Uint8Array) {
    this.type = type;
    this.bytes = bytes;
  }
}

class StoredTensor {
  readonly storage: Storage;
  /** Elements. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** Elements from one index of an axis to the next. */
  readonly strides: readonly number[];

  constructor(storage: Storage, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

const GLOBALS: Globals = {
  'collections.OrderedDict': () => new Map(),
  'torch._utils._rebuild_tensor_v2': ([storage, offset, shape, strides]) => rebuild(storage, offset, shape, strides),
  'torch._utils._rebuild_parameter': ([tensor]) => tensor,
  'torch.Size': ([sizes]) => sizes,
};

/** Whether these are the entries of a file of torch.save. */
export function isTorch(entries: Entries): boolean {
  return [...entries.keys()].some((name) => name.split('/').length <= 2 && name.endsWith(PICKLE));
}

/**
 * The tensors of a state dict by their names, in place where their elements stand in their order.
 *
 * @param areBytesHeld as readSafetensorsFile()
 * @throws malformed_model_file · model_file_unsupported
 */
export function readStateDict(entries: Entries, areBytesHeld: () => boolean = () => true): Map<string, SafeTensor> {
  const folder = folderOf(entries);
  const script = SCRIPT_PARTS.find((part) => [...entries.keys()].some((name) => name.startsWith(folder + part)));
  if (script !== undefined) throw notRead('is TorchScript, a program with its weights', OF_SCRIPT);
  const order = entries.get(`${folder}byteorder`);
  if (order && Buffer.from(order).toString() !== 'little') throw notRead('has its numbers in big-endian order');
  const pickle = entries.get(folder + PICKLE)!;
  if (pickle.length === 0) throw malformed(`has its ${PICKLE} compressed or empty: expected it as torch.save writes it`);
  const value = readPickle(
    pickle,
    GLOBALS,
    (name) => STORAGE.test(name),
    (id) => storageOf(id, folder, entries),
  );
  const reader = new TensorReader(areBytesHeld);
  const tensors = tensorsIn(value).filter(([name]) => !COUNTER.test(name));
  return new Map(tensors.map(([name, tensor]) => [name, reader.read(name, tensor)]));
}

function folderOf(entries: Entries): string {
  const pickle = [...entries.keys()].find((name) => name.endsWith(PICKLE));
  if (pickle === undefined) throw malformed(`lacks its ${PICKLE}`);
  return pickle.slice(0, -PICKLE.length);
}

/** @param id ('storage', its class, its key, its device, how many elements) */
function storageOf(id: unknown, folder: string, entries: Entries): Storage {
  const [kind, type, key, , count] = Array.isArray(id) ? (id as unknown[]) : [];
  if (kind !== 'storage' || !(type instanceof Global) || typeof key !== 'string' || !isCount(count)) {
    throw malformed('refers to what is no storage of a tensor');
  }
  const bytes = entries.get(`${folder}data/${key}`);
  if (!bytes) throw malformed(`lacks its storage ${JSON.stringify(key.slice(0, 40))}`);
  return new Storage(type.name, bytes);
}

function rebuild(storage: unknown, offset: unknown, shape: unknown, strides: unknown): StoredTensor {
  const isTensor = storage instanceof Storage && isCount(offset) && areCounts(shape) && areCounts(strides);
  if (!isTensor || shape.length !== strides.length) throw malformed('has a tensor without a shape');
  // Copies: a pickle may go on to change the lists.
  return new StoredTensor(storage, offset, [...shape], [...strides]);
}

/** The tensors of a dict, or of the one in it that is a state dict. */
function tensorsIn(value: unknown): [string, StoredTensor][] {
  const dict = value instanceof Map ? stateDictIn(value) : undefined;
  if (!dict) throw noStateDict(value);
  return [...dict].map(([name, tensor]) => {
    const isTensor = typeof name === 'string' && tensor instanceof StoredTensor;
    if (!isTensor) throw notRead(`has ${titleOf(name)} among its tensors, which is none`, OF_TENSORS_ALONE);
    return [name, tensor];
  });
}

/** A key that is no text may be a value of great depth, which has no text of bounded length. */
function titleOf(key: unknown): string {
  return typeof key === 'string' ? JSON.stringify(key.slice(0, 80)) : 'a key that is no text';
}

function stateDictIn(dict: Map<unknown, unknown>): Map<unknown, unknown> | undefined {
  if ([...dict.values()].some((value) => value instanceof StoredTensor)) return dict;
  const found = NESTED_KEYS.filter((key) => dict.get(key) instanceof Map);
  const [key] = found;
  if (found.length > 1) {
    throw notRead(`has a dict ${found.join(' and a dict ')}: which of them is meant is not known`, ofEntry(key!));
  }
  const nested = key === undefined ? undefined : dict.get(key);
  return hasTensors(nested) ? nested : undefined;
}

function hasTensors(value: unknown): value is Map<unknown, unknown> {
  return value instanceof Map && [...value.values()].some((inner) => inner instanceof StoredTensor);
}

/** Names the entry that may be the state dict, if there is one under another key. */
function noStateDict(value: unknown): Error {
  const entries: [unknown, unknown][] = value instanceof Map ? [...value] : [];
  const [key] = entries.find(([name, inner]) => typeof name === 'string' && hasTensors(inner)) ?? [];
  if (typeof key !== 'string') return notRead('has no dict of tensors');
  const shown = key.slice(0, 80).toWellFormed();
  const places = NESTED_KEYS.join(', ');
  return notRead(`has a dict of tensors as ${JSON.stringify(shown)}, and is searched for one as ${places}`, ofEntry(shown));
}

class TensorReader {
  readonly #areBytesHeld: () => boolean;
  #reorderedLeft = REORDERED_MAX;

  constructor(areBytesHeld: () => boolean) {
    this.#areBytesHeld = areBytesHeld;
  }

  /** @throws malformed_model_file · model_file_unsupported */
  read(name: string, { storage, offset, shape, strides }: StoredTensor): SafeTensor {
    const dtype = DTYPES[storage.type];
    const title = JSON.stringify(name.slice(0, 80));
    if (dtype === undefined) {
      throw notRead(`has the tensor ${title} in a ${storage.type}, and float, double, half and bfloat16 are read`);
    }
    const size = ELEMENT_BYTES[dtype];
    const count = shape.reduce((product, length) => product * length, 1);
    const stored = Math.floor(storage.bytes.length / size);
    const end = count === 0 ? offset : shape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis]!, offset + 1);
    // An expanded tensor repeats its elements: it may have more than its storage.
    if (count > stored || end > stored) {
      throw malformed(`has the tensor ${title} beyond the end of its storage, or with repeated elements`);
    }
    const bytes = storage.bytes.subarray(offset * size, end * size);
    if (isContiguous(shape, strides)) return tensorInPlace(dtype, shape, bytes, this.#areBytesHeld);
    this.#reorderedLeft -= end - offset;
    if (this.#reorderedLeft < 0) {
      throw notRead(`has the tensor ${title}, whose elements are not in their order: call .contiguous() on it`);
    }
    return { dtype, shape, data: inOrder(numbersIn(bytes, dtype), shape, strides, count) };
  }
}

/** Axes of size 1 may have any stride. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** The elements of a tensor row by row. */
function inOrder(
  numbers: Float32Array | Float64Array,
  shape: readonly number[],
  strides: readonly number[],
  count: number,
): Float32Array | Float64Array {
  const ordered = numbers instanceof Float32Array ? new Float32Array(count) : new Float64Array(count);
  const indices = shape.map(() => 0);
  let from = 0;
  for (let i = 0; i < count; i++) {
    ordered[i] = numbers[from]!;
    // To the next index: the last axis first, and the one before it when that has reached its end.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++indices[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      indices[axis] = 0;
    }
  }
  return ordered;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function areCounts(values: unknown): values is readonly number[] {
  return Array.isArray(values) && values.length <= 4 && values.every(isCount);
}
