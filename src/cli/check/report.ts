// What a comparison found, as a table.
import { formatShape } from '../../tensor.ts';
import { formatTable } from '../table.ts';
import type { CheckResult } from './check-model.ts';
import type { Difference } from './compare.ts';

/** @param isBidirectional whether the last recurrent layer is */
export function formatCheck({ T, N, outputs, isWithin }: CheckResult, isBidirectional: boolean): string {
  const heading = ['output', 'shape', 'largest difference', 'ulp', 'at', 'computed', 'expected', 'tolerance', 'beyond it'];
  const rows = outputs.map(({ name, shape, largest, tolerance, beyond }) => [
    name,
    formatShape(shape),
    short(largest.absolute),
    short(largest.ulp),
    `[${largest.index.join(', ')}]`,
    digits(largest.computed),
    digits(largest.expected),
    String(tolerance),
    `${beyond} of ${shape.reduce((product, size) => product * size, 1)}`,
  ]);
  const table = formatTable([heading, ...rows], (column) => (column < 2 ? 'left' : 'right'));
  const verdict = isWithin ? 'within the tolerance' : 'BEYOND THE TOLERANCE';
  const advice = isWithin ? '' : `\n${adviceOn(outputs, isBidirectional)}`;
  return `${table}\n\ncheck  ${verdict} (T=${T}, N=${N})${advice}`;
}

const short = (value: number) => (Number.isFinite(value) ? String(Number(value.toPrecision(2))) : String(value));

/** Nine tell any two float32 apart. */
const digits = (value: number) => String(Number(value.toPrecision(9)));

/** Where a difference begins tells what may be wrong. */
function adviceOn(outputs: readonly Difference[], isBidirectional: boolean): string {
  const sequence = outputs.find(({ shape, beyond }) => shape.length === 3 && beyond > 0);
  const states = outputs.filter(({ name }) => name === 'hs' || /^[hc]\b/.test(name));
  const wrong = outputs.filter(({ beyond }) => beyond > 0);
  if (isBidirectional && wrong.every(({ name }) => name === 'y'))
    return (
      'y is made of the last states of both directions, and that of the reverse one is of step 0: if yours is made of ' +
      'the last step, as of out[:, -1], name it ys.'
    );
  if (states.length > 0 && states.every(({ beyond }) => beyond === 0))
    return 'The states are right, and what is behind them is not: look at the readout and its activation.';
  if (sequence === undefined) return 'Add hs to see at which step the difference begins.';
  return (
    `${sequence.name} differs from [${sequence.first!.join(', ')}] on: at the first step look at the layout of x, the ` +
    'activation and h0, later at the lengths and the recurrent weights.'
  );
}
