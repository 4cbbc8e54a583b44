// The figures of bench:kernels --layers, for a terminal.
import { ratiosOf, spreadOf } from '../../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../../src/cli/table.ts';
import { atMost, formatTargets } from '../report/targets.ts';
import type { ShapeResult } from './layers.ts';

const RATIO_MAX = 1.2;

/** For each T a table with a column for each size. */
export function formatLayers(results: readonly ShapeResult[]): string {
  const lengths = [...new Set(results.map(({ shape }) => shape.T))];
  const tables = lengths.map((T) => formatLength(results.filter(({ shape }) => shape.T === T)));
  const ratios = results.flatMap((result) => Object.keys(result.layersUs).map((name) => ratioOf(result, name)));
  return [...tables, formatTargets([atMost('layer ÷ product, worst', Math.max(...ratios), RATIO_MAX)!])].join('\n\n');
}

/** The time of the layer ÷ that of its product, median of the rounds. */
function ratioOf({ layersUs, productUs }: ShapeResult, name: string): number {
  return ratiosOf(layersUs[name]!, productUs).median;
}

function formatLength(results: readonly ShapeResult[]): string {
  const { T, N } = results[0]!.shape;
  const names = Object.keys(results[0]!.layersUs);
  return formatTable([
    [`T=${T} N=${N}`, ...results.map(({ shape }) => String(shape.size))],
    ['product, µs', ...results.map(({ productUs }) => formatNumber(spreadOf(productUs).median))],
    ...names.map((name) => [name, ...results.map((result) => ratioOf(result, name).toFixed(2))]),
  ]);
}
