// Numbers as people read them.

/** A float32 with four digits behind the point, or as a power where that would be 0 or very long. */
export function shortNumber(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size < 0.0005 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toFixed(4)));
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB'];

/** Bytes with a unit: 1.5 MiB. */
export function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}
