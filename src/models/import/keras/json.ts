// The JSON of a Keras file, whose objects may have any keys: a field is read only if the object has it by itself.
import { malformed } from './errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Far more than the description of a model of 32 layers. */
const JSON_CHARACTERS_MAX = 4 * 2 ** 20;

/** @param title of what it is in, for errors · @throws malformed_model_file */
export function parseObject(text: string, title: string): JsonObject {
  if (text.length > JSON_CHARACTERS_MAX) {
    throw malformed(`has ${text.length} characters in ${title}, expected at most ${JSON_CHARACTERS_MAX}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed(`has ${title} that is no JSON`);
  }
  if (!isObject(value)) throw malformed(`has ${title} that is no JSON object`);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Undefined if it is none of the object's own; null as in the file. */
export function fieldOf(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

export function textOf(object: JsonObject, name: string): string | undefined {
  const value = fieldOf(object, name);
  return typeof value === 'string' ? value : undefined;
}

/** Whether a flag is on; `fallback` if it is not there. */
export function flagOf(object: JsonObject, name: string, fallback = false): boolean {
  const value = fieldOf(object, name);
  return typeof value === 'boolean' ? value : fallback;
}
