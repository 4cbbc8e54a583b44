// The schemas decide what a body may contain; this file makes the validator strict and its
// findings readable: which element, what was expected, what was there.
import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { lengthOf } from '../codec/moved.ts';
import { CarryoverError, type ErrorPlace, escapePointer } from '../errors.ts';

/** Fastify's validator by default turns [null, "3", true] into [0, 3, 1] and drops unknown fields. */
export const STRICT_AJV = {
  customOptions: {
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    allErrors: false,
    // 1e999 is read as Infinity: a number out of range (422), not a value of another type (400).
    strictNumbers: false,
    // A field may be a string or a number.
    allowUnionTypes: true,
    // Puts the offending value into each finding, see `got` below.
    verbose: true,
  },
} as const;

export function validationError(findings: readonly FastifySchemaValidationError[]): Error {
  const place = placeOf(mostTelling(findings));
  return new CarryoverError('invalid_request', { detail: place.message, errors: [place] });
}

type Finding = FastifySchemaValidationError & { data?: unknown };

function placeOf(finding: Finding): ErrorPlace {
  const { keyword, params, instancePath } = finding;
  const where = instancePath === '' ? 'The body' : instancePath;
  switch (keyword) {
    case 'additionalProperties': {
      const pointer = `${instancePath}/${escapePointer(String(params.additionalProperty))}`;
      return { pointer, message: `${shorten(pointer)} is not a known field.` };
    }
    case 'required': {
      const pointer = `${instancePath}/${String(params.missingProperty)}`;
      return { pointer, message: `${pointer} is required.` };
    }
    case 'type':
      return {
        pointer: instancePath,
        message: `${where} must be ${article(typesOf(params.type))}, got ${got(finding.data)}.`,
      };
    case 'enum':
      return {
        pointer: instancePath,
        message:
          `${where} must be one of ${JSON.stringify(params.allowedValues)}, ` +
          `got ${got(finding.data)}.`,
      };
    case 'minItems':
      return { pointer: instancePath, message: `${where} must not be empty.` };
    case 'anyOf':
      return {
        pointer: instancePath,
        message: `${where} must be an array of numbers, (H), or of one such row, (1, H).`,
      };
    default:
      return { pointer: instancePath, message: `${where} ${finding.message ?? 'is invalid'}.` };
  }
}

/**
 * For a union, each branch has its finding and the union has one. The branch that got furthest is
 * the one that was meant; if none got past the union's own value, the union's finding says it best.
 */
function mostTelling(findings: readonly Finding[]): Finding {
  const union = findings.at(-1)!;
  const deeper = findings.filter((finding) => finding.instancePath !== union.instancePath);
  return deeper.reduce(
    (best, finding) => (byPosition(finding, best) > 0 ? finding : best),
    deeper[0] ?? union,
  );
}

function byPosition(a: Finding, b: Finding): number {
  return a.instancePath.localeCompare(b.instancePath, 'en', { numeric: true });
}

/** Names a value without repeating more than a word of it. */
function got(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${lengthOf(value)}`;
  if (typeof value === 'object') return 'an object';
  return shorten(JSON.stringify(value));
}

/** Of a union Ajv gives `string,number`. */
function typesOf(type: unknown): string {
  return String(type).replaceAll(',', ' or ');
}

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
