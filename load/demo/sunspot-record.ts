// The sunspot record: one monthly mean per line, `year,month,sunspots`, from January 1749.

export interface SunspotRecord {
  /** Observed sunspots, month by month. */
  readonly sunspots: readonly number[];
  /** The year of each month, as a fraction: 1749.5 is July 1749. */
  readonly years: readonly number[];
  /** (T, 1, 1): sunspots / 100 in float32, the unit of the model's training. */
  readonly x: Float32Array;
}

/** The unit of the model's x and y. */
export const SUNSPOTS_PER_UNIT = 100;

export function readRecord(csv: string): SunspotRecord {
  const rows = csv
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(',').map(Number) as [number, number, number]);
  return {
    sunspots: rows.map(([, , sunspots]) => sunspots),
    years: rows.map(([year, month]) => year + (month - 1) / 12),
    x: Float32Array.from(rows, ([, , sunspots]) => sunspots / SUNSPOTS_PER_UNIT),
  };
}
