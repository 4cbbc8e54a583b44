// npm run settings: writes the tables of settings and of metrics in docker/README.md, from the schema in src/config.ts and
// from src/metrics/catalogue.ts. test/docs.test.ts fails if a table differs.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigSchema, readConfig } from '../src/config.ts';
import { METRICS } from '../src/metrics/catalogue.ts';

const page = join(import.meta.dirname, 'README.md');

/** One row for each setting: its name, its default and its description. */
export function settingsTable(): string {
  const defaults = readConfig({}) as Record<string, string | number | boolean | undefined>;
  const rows = Object.entries(ConfigSchema.properties).map(([name, schema]) => {
    // WORKERS has none: it follows from the machine.
    const value = defaults[name] === undefined || defaults[name] === '' ? '' : `\`${String(defaults[name])}\``;
    return `| \`${name}\` | ${value} | ${(schema as { description?: string }).description} |`;
  });
  return ['| setting | default | |', '|---|---|---|', ...rows, ''].join('\n');
}

/** One row for each metric: its name, type, labels and help. */
export function metricsTable(): string {
  const rows = Object.values(METRICS).map(({ name, type, labels, help }) => {
    const shown = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${shown} | ${help} |`;
  });
  return ['| metric | type | labels | |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** The tables, by the name of the comments that enclose them. */
export const TABLES = { config: settingsTable, metrics: metricsTable };

/** The table that docker/README.md has. */
export function tableOnPage(name: keyof typeof TABLES): string {
  return partsOf(readFileSync(page, 'utf8'), name).table;
}

function partsOf(text: string, name: string): { readonly before: string; readonly table: string; readonly after: string } {
  const begin = `<!-- ${name} -->\n`;
  const start = text.indexOf(begin) + begin.length;
  const end = text.indexOf(`<!-- /${name} -->`);
  return { before: text.slice(0, start), table: text.slice(start, end), after: text.slice(end) };
}

if (import.meta.main) {
  for (const [name, table] of Object.entries(TABLES)) {
    const { before, after } = partsOf(readFileSync(page, 'utf8'), name);
    writeFileSync(page, before + table() + after);
  }
}
