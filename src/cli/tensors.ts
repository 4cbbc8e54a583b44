// Tensors of an answer as tables: a line for each row of the mini-batch, of a sequence for each step and row.
import { formatTable } from './table.ts';

type Nested = readonly (number | Nested | null)[];

const WIDTH = 100;
/** Before a line, and of the mark behind a line that is cut. */
const MARGIN = 4;
/** Lines of a tensor; --json has all of them. */
const LINES_MAX = 100;

/**
 * @param tensors by their names: (N, H), (T, N, H), a list of (N, H) of several layers, or undefined
 * @param width characters of a line
 */
export function formatTensors(tensors: Readonly<Record<string, unknown>>, width = WIDTH): string {
  const tables = Object.entries(tensors).flatMap(([name, tensor]) =>
    tensor === undefined || tensor === null ? [] : formatTensor(name, tensor as Nested, width),
  );
  return tables.join('\n\n');
}

function formatTensor(name: string, tensor: Nested, width: number): string[] {
  const isList = name === 'h' || name === 'c';
  if (isList && depthOf(tensor) === 3) {
    return tensor.flatMap((state, k) => (state === null ? [] : formatTensor(`${name}[${k}]`, state as Nested, width)));
  }
  const isSequence = depthOf(tensor) === 3;
  const lines = isSequence
    ? tensor.flatMap((rows, t) => (rows as Nested).map((row, n) => [String(t + 1), String(n), ...cells(row as number[])]))
    : tensor.map((row, n) => [String(n), ...cells(row as number[])]);
  const shape = shapeOf(tensor);
  const heading = [...(isSequence ? ['t'] : []), 'n', ...numbered(shape.at(-1) ?? 0)];
  const shown = lines.slice(0, LINES_MAX);
  const table = fitted([heading, ...shown], width).map((row) => `  ${row}`);
  const more = lines.length > shown.length ? [`  … ${lines.length - shown.length} more; --json has all of them`] : [];
  return [[`${name} (${shape.join(', ')})`, ...table, ...more].join('\n')];
}

/** As many columns as fit into the width, at least one number. */
function fitted(rows: readonly (readonly string[])[], width: number): string[] {
  const all = formatTable(rows, () => 'right').split('\n');
  const longest = Math.max(...all.map((line) => line.length)) + MARGIN;
  if (longest <= width) return all;
  const fewer = Math.max(3, Math.floor((rows[0]!.length * (width - MARGIN)) / longest));
  return formatTable(
    rows.map((row) => [...row.slice(0, fewer), '…']),
    () => 'right',
  ).split('\n');
}

const cells = (row: readonly number[]) => row.map(String);
const numbered = (count: number) => Array.from({ length: count }, (_, k) => String(k));

/** A null is a state that a layer does not have: it stands for (N, H). */
function depthOf(tensor: Nested): number {
  const first = tensor.find((entry) => entry !== null);
  return Array.isArray(first) ? 1 + depthOf(first as Nested) : tensor.length > 0 && first === undefined ? 3 : 1;
}

function shapeOf(tensor: Nested): number[] {
  const [first] = tensor;
  return [tensor.length, ...(Array.isArray(first) ? shapeOf(first as Nested) : [])];
}
