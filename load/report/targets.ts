// Targets, and whether a measurement met them.
import { formatNumber, formatTable } from '../../src/cli/table.ts';

export interface Target {
  readonly name: string;
  readonly value: number;
  readonly wanted: string;
  readonly isMet: boolean;
}

/** Undefined if the value was not measured. */
export function atLeast(name: string, value: number | undefined, min: number): Target | undefined {
  return value === undefined
    ? undefined
    : { name, value, wanted: `≥ ${min}`, isMet: value >= min };
}

/** Undefined if the value was not measured. */
export function atMost(name: string, value: number | undefined, max: number): Target | undefined {
  return value === undefined
    ? undefined
    : { name, value, wanted: `≤ ${max}`, isMet: value <= max };
}

export function formatTargets(targets: readonly Target[]): string {
  const rows = targets.map(({ name, value, wanted, isMet }) => [
    name,
    formatNumber(value),
    wanted,
    isMet ? 'met' : 'missed',
  ]);
  return formatTable([['target', 'measured', 'wanted', ''], ...rows]);
}
