// Which path of layers leads to the outputs of a graph.
import { notRead } from '../../../codec/onnx/errors.ts';
import { quote } from '../../../codec/safetensors/quote.ts';
import type { GraphOutput } from './graph.ts';
import type { Path, Signal } from './value.ts';

/** A path and the paths before it, from the last layer to the input. */
export function backwards(path: Path): Path[] {
  const paths: Path[] = [];
  for (let at: Path | undefined = path; at; at = at.before) paths.push(at);
  return paths;
}

/**
 * The path to all outputs: the longest of them, on which the others lie.
 *
 * @throws model_file_unsupported if there is none
 */
export function pathOfOutputs(outputs: readonly GraphOutput[]): Path {
  const ends = outputs.flatMap((output) => signalsOf(output).map(({ path }) => ({ name: output.name, path })));
  const lengthOf = new Map(ends.map(({ path }) => [path, backwards(path).length]));
  const last = ends.reduce((last, end) => (lengthOf.get(end.path)! > lengthOf.get(last.path)! ? end : last));
  const onPath = new Set(backwards(last.path).flatMap((path) => [path, ...(path.merged ?? [])]));
  const other = ends.find(({ path }) => !onPath.has(path));
  if (other) {
    throw notRead(
      `has the outputs ${quote(last.name)} and ${quote(other.name)}, which ${whereTheyPart(last.path, other.path)}`,
      'Expected a single path from x to y: remove one of the outputs.',
    );
  }
  expectStatesInOrder(last.path);
  return last.path;
}

function signalsOf({ name, value }: GraphOutput): readonly Signal[] {
  if (value.kind === 'signal' && value.path.layer) return [value];
  if (value.kind === 'states') return value.rows;
  throw notRead(`has the output ${quote(name)}, which no layer computes`, 'Expected what a layer returns.');
}

function whereTheyPart(one: Path, other: Path): string {
  const behind = new Map(backwards(one).map((path) => [path.before, path]));
  for (const path of backwards(other)) {
    const twin = behind.get(path.before);
    if (!path.before || !twin) continue;
    const isOneLayer = twin.title === path.title;
    return isOneLayer ? `differ by what follows ${path.title}` : `part at ${twin.title} and ${path.title}`;
  }
  return 'are computed from two inputs';
}

/** States are given as a list in the order of the layers, so the rows of an input have to stand in it. */
function expectStatesInOrder(path: Path): void {
  const next = new Map<string, number>();
  for (const { states = [], title } of backwards(path).toReversed()) {
    for (const { input, firstRow, rows } of states) {
      if (input === path.input.name) {
        throw notRead(`has ${title}, whose initial state is x, ${quote(input)}`, 'Expected an input of its own for states.');
      }
      const expected = next.get(input) ?? 0;
      // Several layers may read the same states.
      if (firstRow !== expected && firstRow !== 0) {
        throw notRead(
          `has ${title}, whose initial state is row ${firstRow} of ${quote(input)}`,
          `Expected row ${expected}: the states of the layers in their order.`,
        );
      }
      next.set(input, firstRow + rows);
    }
  }
}
