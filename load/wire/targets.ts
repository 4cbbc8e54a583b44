// What this project set out to reach, and what was measured.
import { formatNumber, formatTable } from '../table.ts';

export interface Target {
  readonly name: string;
  readonly value: number;
  readonly wanted: string;
  readonly isMet: boolean;
}

/** Absent if it was not measured. */
export function atLeast(name: string, value: number | undefined, min: number): Target | undefined {
  return value === undefined
    ? undefined
    : { name, value, wanted: `≥ ${min}`, isMet: value >= min };
}

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
