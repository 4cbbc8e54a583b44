// Values of a file as they may stand in an error: they come from whoever made the file.

/** What is longer is cut. */
const QUOTED_CHARACTERS_MAX = 80;

/** Never deeper than one array: JSON.stringify would run out of stack on hostile nesting. */
export function describe(value: unknown): string {
  if (!Array.isArray(value)) return describeItem(value);
  const shown = value.slice(0, 8).map(describeItem);
  return `[${[...shown, ...(value.length > 8 ? ['…'] : [])].join(', ')}]`;
}

function describeItem(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (value === undefined) return '(missing)';
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

/** Text of the file as it may stand in an error: in quotes, without control characters, cut. */
export function quote(text: string): string {
  const cut = text.length > QUOTED_CHARACTERS_MAX;
  return JSON.stringify(cut ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text);
}
