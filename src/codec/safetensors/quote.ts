// Values of a file quoted in errors. They may be anything, so they are shortened and escaped.

/** A longer text is shortened. */
const QUOTED_CHARACTERS_MAX = 80;

/** A value of the header. No deeper than one array, as JSON.stringify would exhaust the stack on deep nesting. */
export function quoteValue(value: unknown): string {
  if (!Array.isArray(value)) return quoteItem(value);
  const shown = value.slice(0, 8).map(quoteItem);
  return `[${[...shown, ...(value.length > 8 ? ['…'] : [])].join(', ')}]`;
}

function quoteItem(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (value === undefined) return '(missing)';
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

/** A text of the file: in quotes, with control characters escaped, shortened. */
export function quote(text: string): string {
  const cut = text.length > QUOTED_CHARACTERS_MAX;
  return JSON.stringify(cut ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text);
}
