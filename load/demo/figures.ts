// Figures on the terminal: those of the service beside those of torch.
import { formatTable } from '../../src/cli/table.ts';
import { strong } from './style.ts';

/**
 * A table of two columns of figures.
 *
 * @param rows what each figure is; torch's is left out where it has none
 * @param digits after the decimal point
 */
export function formatFigures(
  title: string,
  rows: readonly (readonly [label: string, service: number, torch: number | undefined])[],
  digits: number,
): string {
  const cells = rows.map(([label, service, torch]) => [`  ${label}`, service.toFixed(digits), torch?.toFixed(digits) ?? '']);
  const [head, ...lines] = formatTable([[title, '  service', '  torch'], ...cells]).split('\n');
  return [strong(head!), ...lines].join('\n');
}

/** An error and what float32 explains of it, as in `1.2e-7`, or `3.4e-3 (TOO LARGE, at most 2e-6)`. */
export function formatError(error: number, max: number): string {
  const text = error.toExponential(1);
  return error <= max ? text : `${text} (TOO LARGE, at most ${max.toExponential()})`;
}
