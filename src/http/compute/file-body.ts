// The body of a computation as a safetensors file: tensors x, h, c, of several recurrent layers h.0, h.1, c.0, …, and
// W_x, W_h, b or the tensors of any layers; all other fields as text in __metadata__: model or session, carryover.layers
// (the description of the layers, as in a model file), trace, and for a sequence layout, outputs ("hs,h") and lengths
// ("3,1").
import { tensorFromFile } from '../../codec/safetensors/tensor.ts';
import type { SafeTensor, SafetensorsFile } from '../../codec/safetensors/read.ts';
import { invalidRequest } from '../../errors.ts';
import type { LayersSource, WeightsSource } from '../../engine/model-source.ts';
import type { Output } from '../../engine/shapes.ts';
import { importCheckpoint } from '../../models/import/checkpoint.ts';
import { LAYERS_FIELD } from '../../models/model-file.ts';
import { FLOAT_DTYPES, type TensorSource, formatShape } from '../../tensor.ts';
import { OUTPUTS } from './answer.ts';

type Layout = 'TND' | 'NTD';

export interface FileBody {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  readonly model: string | undefined;
  readonly session: string | undefined;
  /** The description of the layers whose tensors the file has. */
  readonly layers: string | undefined;
  readonly trace: boolean;
  readonly layout: Layout;
  readonly outputs: readonly Output[] | undefined;
  readonly lengths: readonly number[] | undefined;
}

const INPUTS = ['x', 'h', 'c'];
const TENSORS = [...INPUTS, 'W_x', 'W_h', 'b'];
/** States of several recurrent layers; models have fewer than a hundred. */
const LISTED_STATE = /^[hc]\.(0|[1-9]\d?)$/;

/**
 * Reads the metadata of a file, and checks the names of its tensors.
 *
 * @param fields the metadata fields that the route accepts
 * @throws invalid_request
 */
export function readFileBody(
  { tensors, metadata }: SafetensorsFile,
  fields: readonly string[],
): FileBody {
  const layers = metadata[LAYERS_FIELD];
  const names = [...tensors.keys()].filter((name) => !isListedState(name));
  // With a description, which tensors belong to its layers is found out by the import of them.
  if (layers === undefined) expectKnown('tensor', names, TENSORS);
  for (const [name, tensor] of tensors) if (name !== 'x') expectReal(name, tensor);
  expectKnown('metadata field', Object.keys(metadata).filter(isUsed), fields);
  const { model, session, trace, layout, outputs, lengths } = metadata;
  return {
    tensors,
    model,
    session,
    layers,
    trace: oneOf('trace', trace, ['false', 'true']) === 'true',
    layout: oneOf('layout', layout, ['TND', 'NTD']),
    outputs: outputs?.split(',').map((name) => oneOf('outputs', name, OUTPUTS)),
    lengths: lengths?.split(',').map(readLength),
  };
}

/**
 * A tensor of the file.
 *
 * @param axes one letter an axis, outermost first
 * @param place of it in a JSON body, for errors
 * @throws invalid_request if it is missing · shape_mismatch if its rank is another
 */
export function requiredTensor(body: FileBody, name: string, axes: string, place = name): TensorSource {
  const tensor = optionalTensor(body, name, axes, place);
  if (tensor) return tensor;
  const names = [...body.tensors.keys()].join(', ') || 'none';
  throw invalidRequest(`The tensor ${name} is required, and the file has ${names}.`, `/${place}`);
}

/** The same for a tensor that may be missing. @throws shape_mismatch if its rank is another */
export function optionalTensor({ tensors }: Pick<FileBody, 'tensors'>, name: string, axes: string, place = name) {
  const tensor = tensors.get(name);
  return tensor && tensorFromFile(place, axes, tensor);
}

/** x: its axes without D, the last one, if it has one less. @throws as requiredTensor */
export function fileInput(body: FileBody, axes: string): TensorSource {
  const x = body.tensors.get('x');
  if (x?.shape.length === axes.length - 1) return requiredTensor(body, 'x', axes.slice(0, -1));
  if (x) expectReal('x', x);
  return requiredTensor(body, 'x', axes);
}

/**
 * Inline weights, if the file has any of their tensors.
 *
 * @throws as requiredTensor; with a description of layers as importCheckpoint()
 */
export function fileWeights(body: FileBody): WeightsSource | LayersSource | undefined {
  const { layers, tensors } = body;
  if (layers !== undefined) {
    const ofLayers = [...tensors].filter(([name]) => !INPUTS.includes(name) && !isListedState(name));
    return importCheckpoint(new Map(ofLayers), { layers });
  }
  if (!['W_x', 'W_h', 'b'].some((name) => body.tensors.has(name))) return undefined;
  const bAxes = body.tensors.get('b')?.shape.length === 2 ? '1H' : 'H';
  return {
    W_x: requiredTensor(body, 'W_x', 'DH', 'weights/W_x'),
    W_h: requiredTensor(body, 'W_h', 'HH', 'weights/W_h'),
    b: optionalTensor(body, 'b', bAxes, 'weights/b'),
  };
}

/** Whether a tensor has the name of a state of one of several recurrent layers, e.g. `h.1`. */
export function isListedState(name: string): boolean {
  // Most files have none: the dot is looked at first.
  return name[1] === '.' && LISTED_STATE.test(name);
}

/** Integers are row numbers of an embedding: only an x without D may have them. @throws invalid_request */
function expectReal(name: string, { dtype, shape }: SafeTensor): void {
  if (FLOAT_DTYPES.some((real) => real === dtype)) return;
  const message =
    `${name} has dtype ${dtype} and shape ${formatShape(shape)}, expected ${FLOAT_DTYPES.join(', ')}: integers are ` +
    'row numbers of an embedding, an x without its axis D.';
  throw invalidRequest(message, `/${name}`);
}

/** Libraries write a field `format`, the framework that the tensors are of. It is ignored. */
function isUsed(field: string): boolean {
  return field !== 'format';
}

function expectKnown(what: string, names: readonly string[], known: readonly string[]): void {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const shown = JSON.stringify(unknown.slice(0, 40));
  throw invalidRequest(`${shown} is not a known ${what}; expected ${known.join(', ')}.`, '');
}

/** The first choice is the default. */
function oneOf<Choice extends string>(
  field: string,
  value: string | undefined,
  choices: readonly [Choice, ...Choice[]],
): Choice {
  const found = choices.find((choice) => choice === (value ?? choices[0]));
  if (found !== undefined) return found;
  const shown = JSON.stringify(value?.slice(0, 40));
  throw invalidRequest(`${field} must be one of ${choices.join(', ')}, got ${shown}.`, `/${field}`);
}

function readLength(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const shown = JSON.stringify(text.slice(0, 40));
  throw invalidRequest(`lengths must be integers, 0 … T, separated by commas, got ${shown}.`, '/lengths');
}
