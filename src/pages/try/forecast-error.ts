// How far forecasts were from what came.

/**
 * Root of the mean square difference of the second half of the steps: by then a state that began with zeros has seen enough.
 *
 * @param forecast of each step, null where there is none
 */
export function rmseOfSecondHalf(data: readonly number[], forecast: readonly (number | null)[]): number | undefined {
  let sum = 0;
  let count = 0;
  for (let t = Math.floor(data.length / 2); t < data.length; t++) {
    const expected = forecast[t];
    if (typeof expected !== 'number') continue;
    sum += (expected - data[t]!) ** 2;
    count++;
  }
  return count === 0 ? undefined : Math.sqrt(sum / count);
}
