// Elements of an SVG document as text, and round numbers for its axes.

/** A path with a class of the style sheet. */
export function path(style: string, d: string): string {
  return `<path class="${style}" d="${d}"/>`;
}

interface TextOptions {
  readonly style?: string;
  readonly anchor?: 'start' | 'middle' | 'end';
}

/** A line of text; x and y are its anchor on the base line. */
export function text(x: number, y: number, content: string, options: TextOptions = {}): string {
  const { style, anchor = 'start' } = options;
  const className = style ? ` class="${style}"` : '';
  const at = `x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"`;
  return `<text${className} ${at}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** To a tenth of a unit, which no reader sees. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Four to eight round numbers from 0 to `top`. */
export function ticksUpTo(top: number): number[] {
  const step = niceStep(top);
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => i * step);
}

/** `value`, or the next multiple of its step between ticks. */
export function niceCeiling(value: number): number {
  const step = niceStep(value);
  return Math.ceil(value / step) * step;
}

/** 1, 2 or 5 times a power of ten. */
function niceStep(top: number): number {
  const power = 10 ** Math.floor(Math.log10(top / 4));
  const digit = top / 4 / power;
  return power * (digit >= 5 ? 5 : digit >= 2 ? 2 : 1);
}

/** 4,900,000 */
export function formatTick(value: number): string {
  return new Intl.NumberFormat('en').format(value);
}

/** 4.9M · 150k */
export function formatCompact(value: number): string {
  return new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })
    .format(value)
    .replace('K', 'k');
}
