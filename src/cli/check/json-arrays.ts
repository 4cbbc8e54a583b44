// Arrays as nested lists in a JSON object: {"x": [[[1, 2]]], "h": [[0.5]]}. States of several layers may be a list of
// matrices, as in answers of the API, with null where a layer has no c.
import { quote, quoteValue } from '../../codec/safetensors/quote.ts';
import { formatShape } from '../../tensor.ts';
import type { CheckArray, CheckArrays } from './check-array.ts';
import { wrong } from './wrong.ts';

const AXES_MAX = 8;
/** Axes of a list of states, (N, H) each. */
const STATES_AXES = 3;

/** @throws CliError */
export function readJsonArrays(bytes: Buffer, path: string): CheckArrays {
  const value = parse(bytes, path);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(
      `${quote(path)} has ${quoteValue(value)}, expected an object with arrays: {"x": [[[1, 2]]], "h": [[0.5]]}.`,
    );
  }
  const arrays = new Map<string, CheckArray>();
  for (const [name, nested] of Object.entries(value)) {
    for (const [entry, list] of entriesOf(name, nested)) arrays.set(entry, arrayOf(entry, list, bytes.length / 2));
  }
  return arrays;
}

function parse(bytes: Buffer, path: string): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch (cause) {
    const reason = (cause as Error).message.slice(0, 120);
    throw wrong(`${quote(path)} is neither a .npz file nor JSON (${reason}): write one with numpy.savez().`, cause);
  }
}

/** A list of states as an entry for each: h.0, h.1 … */
function entriesOf(name: string, nested: unknown): [name: string, nested: unknown][] {
  const isStates =
    /^[hc]0?$/.test(name) &&
    Array.isArray(nested) &&
    shapeOf(nested.find((state) => state !== null)).length === STATES_AXES - 1;
  if (!isStates) return [[name, nested]];
  return nested.flatMap((state, k): [string, unknown][] => (state === null ? [] : [[`${name}.${k}`, state]]));
}

/** @param countMax numbers that the text has room for */
function arrayOf(name: string, nested: unknown, countMax: number): CheckArray {
  const shape = shapeOf(nested);
  if (shape.length === 0 || shape.length > AXES_MAX)
    throw wrong(`${quote(name)} is ${quoteValue(nested)}, expected nested lists of numbers.`);
  const count = shape.reduce((product, size) => product * size, 1);
  if (count > countMax)
    throw wrong(`${quote(name)} is ragged: expected lists of the same length, ${formatShape(shape)} as the first ones.`);
  const data = new Float64Array(count);
  fill(name, nested, shape, { data, at: 0 });
  return { shape, data, isHalf: false };
}

/** By the first entry of each list. */
function shapeOf(nested: unknown): number[] {
  const shape: number[] = [];
  for (let inner = nested; Array.isArray(inner) && shape.length <= AXES_MAX; inner = inner[0]) shape.push(inner.length);
  return shape;
}

/** No deeper than `shape` has axes. @throws CliError if a list has another length */
function fill(
  name: string,
  list: unknown,
  [size, ...inner]: readonly number[],
  target: { readonly data: Float64Array; at: number },
): void {
  if (!Array.isArray(list) || list.length !== size) {
    throw wrong(
      `${quote(name)} is ragged: a list is ${quoteValue(list)}, expected ${size} entries as in the first one, ` +
        `${formatShape([size!, ...inner])}.`,
    );
  }
  for (const entry of list) {
    if (inner.length > 0) fill(name, entry, inner, target);
    else if (typeof entry === 'number') target.data[target.at++] = entry;
    else throw wrong(`${quote(name)} has the element ${quoteValue(entry)}, expected a number.`);
  }
}
