// The weather of Seattle: one day per line, `date,precipitation,temp_max,temp_min,wind,weather`, 2012 to 2015.

export interface WeatherRecord {
  /** Day by day, like 2012-01-01. */
  readonly dates: readonly string[];
  /** The highest temperature of each day, °C. */
  readonly highest: readonly number[];
  /** (T, 6): precipitation in mm, highest and lowest temperature in °C, wind in m/s, sine and cosine of the season. */
  readonly x: readonly (readonly number[])[];
}

const YEAR_DAYS = 365.25;

export function readWeather(csv: string): WeatherRecord {
  const rows = csv
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(',') as [date: string, ...measured: string[]]);
  return {
    dates: rows.map(([date]) => date),
    highest: rows.map(([, , highest]) => Number(highest)),
    x: rows.map(([, ...measured], day) => [...measured.slice(0, 4).map(Number), ...seasonOf(day)]),
  };
}

/** The point of the year on a circle, (0, 1) on the first day of the record, which is a first of January. */
function seasonOf(day: number): [sine: number, cosine: number] {
  const angle = (2 * Math.PI * day) / YEAR_DAYS;
  return [Math.sin(angle), Math.cos(angle)];
}
