// The order of lists of models: oldest first.

/** Digits of the largest time of a Date, in ms. */
const TIME_DIGITS = 16;

/** A key that sorts by time, and within one ms by id, so the order is the same in every process. */
export function sortKeyOf(id: string, timeMs: number): string {
  return `${String(timeMs).padStart(TIME_DIGITS, '0')}.${id}`;
}

export function idOfSortKey(sortKey: string): string {
  return sortKey.slice(TIME_DIGITS + 1);
}
