// The description of the layers of a file, a list in JSON: what the names of tensors cannot tell, and which tensors are
// of which layer. It is in the query of the request, or in the metadata of the file.
//
//   [{"type": "embedding", "name": "embedding"},
//    {"type": "lstm", "name": "lstm"},                       both layers of a torch.nn.LSTM(…, num_layers=2)
//    {"type": "dense", "name": "head", "activation": "softmax"}]
//
// `name` is the path of a layer in the file. A tensor may also be named by itself, in a field that is called as the
// tensor is in a layer of this server, of torch or of Keras: {"type": "affine", "scale": "mean_of.x", "offset": "o"}.
import { parseJson } from '../../codec/json/parse.ts';
import { quote, quoteValue } from '../../codec/safetensors/quote.ts';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import {
  type DenseActivation,
  type Direction,
  LAYERS_MAX,
  type LayerSpec,
  type Reset,
  type RnnActivation,
} from '../../layers.ts';

export type LayerType = LayerSpec['type'];

export interface DescribedLayer {
  /** As errors name it: `layers[2]`. */
  readonly place: string;
  readonly index: number;
  readonly type: LayerType;
  /** Its path in the file. */
  readonly name?: string | undefined;
  readonly activation?: DenseActivation | undefined;
  readonly direction?: Direction | undefined;
  readonly reset?: Reset | undefined;
  /** Of a batch normalisation. */
  readonly eps?: number | undefined;
  /** What the sizes are said to be, by their letters. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Tensors that are named by themselves, by their roles. */
  readonly tensors: ReadonlyMap<string, string>;
  /** The same of the reverse direction. */
  readonly backward: ReadonlyMap<string, string>;
}

const RECURRENT_ROLES = [
  'W_x', 'W_h', 'b', 'b_h', 'b_hn',
  'weight_ih', 'weight_hh', 'bias_ih', 'bias_hh',
  'kernel', 'recurrent_kernel', 'bias',
];
const DIRECTIONS: readonly Direction[] = ['forward', 'reverse', 'bidirectional'];

interface Fields {
  /** The values of each option. */
  readonly options: Readonly<Record<string, readonly string[]>>;
  readonly sizes: readonly string[];
  readonly roles: readonly string[];
}

const FIELDS: Readonly<Record<LayerType, Fields>> = {
  embedding: { options: {}, sizes: ['V', 'D'], roles: ['E', 'weight', 'embeddings'] },
  affine: {
    options: {},
    sizes: ['D'],
    roles: [
      'scale', 'offset',
      'weight', 'bias', 'running_mean', 'running_var',
      'gamma', 'beta', 'moving_mean', 'moving_variance',
    ],
  },
  dense: {
    options: { activation: ['linear', 'relu', 'tanh', 'sigmoid', 'softmax'] satisfies DenseActivation[] },
    sizes: ['I', 'O'],
    roles: ['W', 'b', 'weight', 'bias', 'kernel'],
  },
  rnn: {
    options: { activation: ['tanh', 'relu'] satisfies RnnActivation[], direction: DIRECTIONS },
    sizes: ['D', 'H'],
    roles: RECURRENT_ROLES,
  },
  gru: { options: { reset: ['after', 'before'], direction: DIRECTIONS }, sizes: ['D', 'H'], roles: RECURRENT_ROLES },
  lstm: { options: { direction: DIRECTIONS }, sizes: ['D', 'H'], roles: RECURRENT_ROLES },
};

const TYPES = Object.keys(FIELDS);

/** @throws invalid_request */
export function parseDescription(text: string): DescribedLayer[] {
  const list = valuesOf(text);
  if (!Array.isArray(list)) throw wrong('layers', list, 'a list of layers');
  if (list.length === 0 || list.length > LAYERS_MAX) {
    throw invalidRequest(`The description has ${list.length} layers, expected 1 to ${LAYERS_MAX}.`);
  }
  return list.map(readLayer);
}

function valuesOf(text: string): unknown {
  try {
    return parseJson(Buffer.from(text));
  } catch (cause) {
    if (!(cause instanceof CarryoverError)) throw cause;
    throw invalidRequest(`The description of the layers is not the JSON expected: ${cause.message}`);
  }
}

function readLayer(value: unknown, index: number): DescribedLayer {
  const place = `layers[${index}]`;
  if (!isObject(value)) throw wrong(place, value, `an object with a type, e.g. {"type": "lstm", "name": "lstm"}`);
  const { type } = value;
  if (typeof type !== 'string' || !TYPES.includes(type)) throw wrong(`${place}.type`, type, listOf(TYPES));
  const fields = FIELDS[type as LayerType];
  const isRecurrent = fields.roles === RECURRENT_ROLES;
  const known = [
    'type', 'name', ...Object.keys(fields.options), ...fields.sizes, ...fields.roles,
    ...(type === 'affine' ? ['eps'] : []),
    ...(isRecurrent ? ['backward'] : []),
  ];
  expectFields(place, value, known);
  const option = (field: string) => readOption(`${place}.${field}`, value[field], fields.options[field] ?? []);
  return {
    place,
    index,
    type: type as LayerType,
    name: ifGiven(value['name'], (name) => readText(`${place}.name`, name, 'the path of the layer in the file')),
    activation: option('activation') as DenseActivation | undefined,
    direction: option('direction') as Direction | undefined,
    reset: option('reset') as Reset | undefined,
    eps: ifGiven(value['eps'], (eps) => readEps(`${place}.eps`, eps)),
    sizes: readSizes(place, value, fields.sizes),
    tensors: readTensors(place, value, fields.roles),
    backward: readBackward(`${place}.backward`, value['backward']),
  };
}

function ifGiven<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value);
}

/** @throws invalid_request if there is a field that is not known */
function expectFields(place: string, value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).find((field) => !known.includes(field));
  if (unknown === undefined) return;
  throw invalidRequest(`${place} has the field ${quote(unknown)}, expected only ${known.join(', ')}.`);
}

function readOption(place: string, value: unknown, values: readonly string[]): string | undefined {
  if (value === undefined || values.includes(value as string)) return value as string | undefined;
  throw wrong(place, value, listOf(values));
}

function readText(place: string, value: unknown, expected: string): string {
  if (typeof value === 'string') return value;
  throw wrong(place, value, `${expected}, a string`);
}

function readEps(place: string, value: unknown): number {
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value;
  throw wrong(place, value, 'a number of at least 0');
}

type Values = Readonly<Record<string, unknown>>;

function readSizes(place: string, value: Values, letters: readonly string[]): Record<string, number> {
  const given = letters.filter((letter) => value[letter] !== undefined);
  return Object.fromEntries(given.map((letter) => [letter, readSize(`${place}.${letter}`, value[letter])]));
}

function readSize(place: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw wrong(place, value, 'a whole number of at least 1');
}

function readTensors(place: string, value: Values, roles: readonly string[]): Map<string, string> {
  const given = roles.filter((role) => value[role] !== undefined);
  const expected = 'the name of a tensor in the file';
  return new Map(given.map((role) => [role, readText(`${place}.${role}`, value[role], expected)]));
}

function readBackward(place: string, value: unknown): Map<string, string> {
  if (value === undefined) return new Map();
  if (!isObject(value)) throw wrong(place, value, 'an object with the names of the tensors of the reverse direction');
  expectFields(place, value, RECURRENT_ROLES);
  return readTensors(place, value, RECURRENT_ROLES);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(place: string, value: unknown, expected: string): CarryoverError {
  return invalidRequest(`${place} is ${quoteValue(value)}, expected ${expected}.`);
}

function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
}
