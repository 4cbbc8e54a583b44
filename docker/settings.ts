// npm run settings: writes the table of settings in docker/README.md from the schema in src/config.ts.
// test/docs.test.ts fails if the table differs.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigSchema, readConfig } from '../src/config.ts';

const BEGIN = '<!-- config -->\n';
const END = '<!-- /config -->';
const page = join(import.meta.dirname, 'README.md');

/** One row for each setting: its name, its default and its description. */
export function settingsTable(): string {
  const defaults = readConfig({}) as Record<string, unknown>;
  const rows = Object.entries(ConfigSchema.properties).map(([name, schema]) => {
    // The default of WORKERS depends on the machine.
    const value = name === 'WORKERS' || defaults[name] === '' ? '' : `\`${String(defaults[name])}\``;
    return `| \`${name}\` | ${value} | ${(schema as { description?: string }).description} |`;
  });
  return ['| setting | default | |', '|---|---|---|', ...rows, ''].join('\n');
}

/** The table that docker/README.md has. */
export function tableOnPage(): string {
  const text = readFileSync(page, 'utf8');
  return text.slice(text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END));
}

if (import.meta.main) {
  const text = readFileSync(page, 'utf8');
  const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length);
  writeFileSync(page, before + settingsTable() + text.slice(text.indexOf(END)));
}
