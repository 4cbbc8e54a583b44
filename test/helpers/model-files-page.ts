// The tables of openapi/model-files.md, each row of which a test proves.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const page = readFileSync(join(import.meta.dirname, '../../openapi/model-files.md'), 'utf8');

/** The first cells of the rows of a table: that of a section whose title row has these cells first, e.g. `in the file | here`. */
export function rowsOf(section: string, title: string): string[] {
  const text = page.split(/^## /m).find((part) => part.startsWith(`${section}\n`));
  if (text === undefined) throw new Error(`openapi/model-files.md has no section ${section}`);
  const table = text.slice(text.indexOf(`| ${title} `)).split('\n\n')[0]!;
  return table.trim().split('\n').slice(2).map((row) => row.slice(2, row.indexOf(' | ')));
}
