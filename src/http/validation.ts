// Schema validation: the options that make Ajv strict, and its errors as problems that name the element, what was
// expected and what was found.
import ajvCompiler from '@fastify/ajv-compiler';
import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { lengthOf } from '../codec/json/placeholders.ts';
import { CarryoverError, type ErrorPlace, escapePointer } from '../errors.ts';

/** How much of a value or name is repeated. */
const SHOWN_CHARACTERS_MAX = 40;

/** Fastify's defaults would coerce [null, "3", true] to [0, 3, 1] and remove unknown fields. */
export const STRICT_AJV = {
  customOptions: {
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    allErrors: false,
    // 1e999 is parsed as Infinity: it is a number out of range (422), not a value of another type (400).
    strictNumbers: false,
    // A field may be a string or a number.
    allowUnionTypes: true,
    // Of a union with `discriminator` only the branch that a value names is checked, and reported.
    discriminator: true,
    // Adds the offending value to each error as `data`, which `got` below describes.
    verbose: true,
    // Starting takes 28 ms less without the validator of schemas themselves, which a test uses instead, and 30 ms
    // less without a pass that shortens the code of validators.
    validateSchema: false,
    code: { optimize: false },
  },
} as const;

type BuildValidator = ReturnType<typeof ajvCompiler>;
type CompileSchema = ReturnType<BuildValidator>;

/**
 * One compiler for all routes of all servers of a process, which have the same named schemas (named-schemas.ts) and
 * options. Fastify asks for it with each route, and the library would print all named schemas to find the one that it has.
 */
function sharedCompiler(): BuildValidator {
  const build = ajvCompiler();
  let compiler: CompileSchema | undefined;
  return (...options) => (compiler ??= build(...options));
}

export const compileAtStart = sharedCompiler();
const compileLate = sharedCompiler();

type Validate = ReturnType<CompileSchema>;
/** By the text of its schema: services make most schemas anew, and Ajv compiles each that it has not seen. */
const compiledLate = new Map<string, Validate>();

/**
 * Compiles the validator of a schema when it is first used, and not at the start, as Fastify does: for tests, which
 * start the service often and use few of its routes. Compiling those of all routes takes 40 ms.
 */
export const compileOnFirstUse: BuildValidator = (...options) => {
  const compile = compileLate(...options);
  return (route) => {
    let compiled: Validate | undefined;
    const validate = (value: unknown): boolean => {
      compiled ??= compileOnce(compile, route);
      if (compiled(value)) return true;
      // Fastify reads them from the function, and only if it returns false.
      validate.errors = compiled.errors;
      return false;
    };
    validate.errors = undefined as Validate['errors'];
    return validate as Validate;
  };
};

function compileOnce(compile: CompileSchema, route: Parameters<CompileSchema>[0]): Validate {
  // Fastify gives more than the schema, of which the types know nothing.
  const text = JSON.stringify((route as { readonly schema?: unknown }).schema);
  const compiled = compiledLate.get(text) ?? compile(route);
  compiledLate.set(text, compiled);
  return compiled;
}

/** The part of a request that a schema is for, in Fastify's terms. */
type RequestPart = 'body' | 'params' | 'querystring' | 'headers';

/**
 * The problem for a value that does not fit its schema: invalid_request with the place of the error, or
 * session_not_found and model_not_found for an id or name of a form that none can have.
 */
export function validationError(
  findings: readonly FastifySchemaValidationError[],
  part = 'body',
): Error {
  const finding: Finding = mostSpecific(findings);
  const unknown = unknownReference(finding);
  if (unknown) return unknown;
  const place = placeOf(finding, part as RequestPart);
  return new CarryoverError('invalid_request', { detail: place.message, errors: [place] });
}

type Finding = FastifySchemaValidationError & {
  readonly data?: unknown;
  readonly schema?: unknown;
  readonly parentSchema?: { readonly description?: string; readonly properties?: object };
};

/** An id or a name of a form that none can have: it is unknown, like any other that does not exist. */
function unknownReference({ keyword, instancePath, data }: Finding): CarryoverError | undefined {
  if (/^\/(?:id|session)$/.test(instancePath) && keyword === 'pattern') {
    return new CarryoverError('session_not_found', {
      detail: `There is no session ${got(data)}; ids are issued by POST /v1/sessions.`,
    });
  }
  if (/^\/(?:ref|model)$/.test(instancePath) && keyword === 'maxLength') {
    return new CarryoverError('model_not_found', {
      detail: `There is no model ${got(data)}; GET /v1/models lists all.`,
    });
  }
  return undefined;
}

function placeOf(finding: Finding, part: RequestPart): ErrorPlace {
  const { keyword, params, instancePath } = finding;
  const where = nameOf(instancePath, part);
  const found = `, got ${got(finding.data)}`;
  switch (keyword) {
    case 'additionalProperties': {
      const pointer = `${instancePath}/${escapePointer(String(params.additionalProperty))}`;
      const known = Object.keys(finding.parentSchema?.properties ?? {}).join(', ');
      const name = shorten(nameOf(pointer, part));
      return { pointer, message: `${name} is not a known ${kindOf(part)}; expected ${known || 'none'}.` };
    }
    case 'required': {
      const pointer = `${instancePath}/${String(params.missingProperty)}`;
      return { pointer, message: `${nameOf(pointer, part)} is required.` };
    }
    case 'type':
      return {
        pointer: instancePath,
        message: `${where} must be ${article(typesOf(params.type))}${found}.`,
      };
    case 'enum':
      return {
        pointer: instancePath,
        message: `${where} must be one of ${JSON.stringify(params.allowedValues)}${found}.`,
      };
    case 'maxItems': {
      const { length } = finding.data as readonly unknown[];
      return { pointer: instancePath, message: `${where} must have at most ${String(params.limit)} elements, got ${length}.` };
    }
    case 'minItems':
      return { pointer: instancePath, message: `${where} must not be empty.` };
    case 'anyOf': {
      const branches = (finding.schema as readonly { readonly description?: string }[] | undefined) ?? [];
      const forms = branches.map(({ description = 'null' }) => description).join('; or ');
      return { pointer: instancePath, message: `${where} must be nested arrays of numbers: ${forms}${found}.` };
    }
    case 'discriminator': {
      const pointer = `${instancePath}/${String(params.tag)}`;
      const types = 'embedding, affine, dense, rnn, gru, lstm';
      return { pointer, message: `${nameOf(pointer, part)} must be one of ${types}, got ${got(params.tagValue)}.` };
    }
    default: {
      const { description } = finding.parentSchema ?? {};
      const meaning = description === undefined ? '' : ` Described as: ${description}`;
      const problem = finding.message ?? 'is invalid';
      return { pointer: instancePath, message: `${where} ${problem}${found}.${meaning}` };
    }
  }
}

/** How a place is called: in the body by its pointer, in the other parts by its name. */
function nameOf(pointer: string, part: RequestPart): string {
  if (part === 'body') return pointer === '' ? 'The body' : pointer;
  return `The ${kindOf(part)} ${pointer.slice(1)}`;
}

function kindOf(part: RequestPart): string {
  switch (part) {
    case 'body':
      return 'field';
    case 'params':
      return 'part of the address';
    case 'querystring':
      return 'query parameter';
    case 'headers':
      return 'header';
  }
}

/**
 * The finding to report. For a union Ajv returns one finding for each branch and one for the union itself. The
 * branch that matched furthest is the one that was meant; if none got past the union's own value, the finding of
 * the union is reported. The branch of a schema with `if` is reported itself.
 */
function mostSpecific(found: readonly Finding[]): Finding {
  const findings = found.filter(({ keyword }) => keyword !== 'if');
  const union = findings.at(-1)!;
  const deeper = findings.filter((finding) => finding.instancePath !== union.instancePath);
  if (union.keyword === 'anyOf' && deeper.length === 0 && isEmptyArray(union.data)) return findings[0]!;
  return deeper.reduce(
    (best, finding) => (byPosition(finding, best) > 0 ? finding : best),
    deeper[0] ?? union,
  );
}

function isEmptyArray(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function byPosition(a: Finding, b: Finding): number {
  return a.instancePath.localeCompare(b.instancePath, 'en', { numeric: true });
}

/** Describes a value of a JSON body in a few words, whatever its size. */
export function got(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${lengthOf(value)}`;
  if (typeof value === 'object') return 'an object';
  // JSON has no infinity: 1e999 is parsed as one.
  if (typeof value === 'number' && !Number.isFinite(value)) return 'a number beyond float64';
  return JSON.stringify(typeof value === 'string' ? shorten(value) : value);
}

/** For a union of types Ajv gives `string,number`. */
function typesOf(type: unknown): string {
  return String(type).replaceAll(',', ' or ');
}

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function shorten(text: string): string {
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}
