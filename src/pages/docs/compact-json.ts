// JSON as people write tensors: what fits into a line stands in one. Swagger UI gives each number a line of its own.
import { type Plugin, once } from './swagger-ui.ts';

const LINE_CHARACTERS_MAX = 90;

export const compactJson: Plugin = {
  wrapComponents: {
    RequestBodyEditor: once((Original, { React: { createElement } }) => (props) => {
      return createElement(Original, { ...props, value: compacted(props['value']) });
    }),
    HighlightCode: once((Original, { React: { createElement } }) => (props) => {
      return createElement(Original, { ...props, children: compacted(props['children']) });
    }),
  },
};

/** A text that is JSON with a line for each number; anything else as it is, and what a person has written too. */
export function compacted(text: unknown): unknown {
  if (typeof text !== 'string' || !/^[[{]\n/.test(text)) return text;
  try {
    const value: unknown = JSON.parse(text);
    return JSON.stringify(value, null, 2) === text ? print(value, '') : text;
  } catch {
    return text;
  }
}

function print(value: unknown, indent: string): string {
  const line = inOneLine(value);
  if (typeof value !== 'object' || value === null || indent.length + line.length <= LINE_CHARACTERS_MAX) return line;
  const inner = `${indent}  `;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const entries = Array.isArray(value)
    ? value.map((entry) => print(entry, inner))
    : Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}: ${print(member, inner)}`);
  return `${open}\n${inner}${entries.join(`,\n${inner}`)}\n${indent}${close}`;
}

function inOneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inOneLine).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}: ${inOneLine(member)}`);
  return members.length === 0 ? '{}' : `{ ${members.join(', ')} }`;
}
