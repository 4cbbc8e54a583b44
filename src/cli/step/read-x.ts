// x of a step or a sequence, from the command line, a file or stdin.
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { readInput } from '../files.ts';
import { type Io, readStdin } from '../io.ts';

export type Nested = number | readonly Nested[];

export interface X {
  /** (N, D) or (T, N, D); (N) or (T, N) of an embedding. */
  readonly x: Nested;
  readonly isSequence: boolean;
}

/** What a service takes by default; it says so itself if its limit is another. */
const BYTES_MAX = 32 * 2 ** 20;
const AXES_MAX = 3;

/**
 * @param argument of the command line · @param file a path, or `-`
 * @param inputs numbers of a row; undefined if a row is one number, of an embedding
 * @throws CliError
 */
export async function readX(
  argument: string | undefined,
  file: string | undefined,
  inputs: number | undefined,
  io: Io,
): Promise<X> {
  if ((argument === undefined) === (file === undefined)) {
    const found = file === undefined ? 'There is no x' : 'x is given twice';
    throw new CliError(
      EXIT.usage,
      `${found}, expected it as an argument or with --file: carryover step --model sunspots 0.58`,
    );
  }
  const text =
    argument ?? (file === '-' ? await readStdin(io, BYTES_MAX) : await readInput(file!, 'The file of x')).toString();
  const value = argument === undefined && !/^\s*[[{]/.test(text) ? readCsv(text, inputs) : readJson(text);
  return shaped(value, inputs);
}

function readJson(text: string): Nested {
  const value = parse(text);
  if (isNested(value, 0)) return value;
  throw notX(text, 'a number, or lists of numbers');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isNested(value: unknown, depth: number): value is Nested {
  if (Array.isArray(value))
    return depth < AXES_MAX && value.length > 0 && value.every((entry) => isNested(entry, depth + 1));
  return typeof value === 'number';
}

/** Each line is a step of one row. A first line without numbers is a heading. */
function readCsv(text: string, inputs: number | undefined): Nested {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const rows = lines.map((line) => line.split(/[,;\t]/).map((cell) => (cell.trim() === '' ? NaN : Number(cell))));
  if (rows[0]?.every(Number.isNaN)) rows.shift();
  const wanted = inputs ?? 1;
  for (const [k, row] of rows.entries()) {
    if (row.length === wanted && !row.some(Number.isNaN)) continue;
    throw notX(lines.at(k - rows.length) ?? '', `${wanted} numbers in each line, the inputs of a step`);
  }
  if (rows.length === 0) throw notX(text, 'JSON, or a line for each step');
  return rows.map((row) => (inputs === undefined ? row : [row]));
}

/** Axes that are left out are of size 1. */
function shaped(value: Nested, inputs: number | undefined): X {
  const full = inputs === undefined ? 1 : 2;
  let x = value;
  // A list of numbers is one row, and a number one row of one input.
  while (depthOf(x) < full) x = [x];
  const depth = depthOf(x);
  if (depth > full + 1) throw notX(JSON.stringify(value), `at most ${full + 1} axes`);
  return { x, isSequence: depth === full + 1 };
}

function depthOf(value: Nested): number {
  return typeof value === 'number' ? 0 : 1 + depthOf(value[0]!);
}

const QUOTED_MAX = 60;

function notX(text: string, expected: string): CliError {
  const quoted = JSON.stringify(text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}…` : text);
  return new CliError(EXIT.data, `x is ${quoted}, expected ${expected}, e.g. 0.58, [1, 2] or [[1, 2], [3, 4]].`);
}
