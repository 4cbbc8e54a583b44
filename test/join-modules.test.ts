// The scripts that are made of the modules of a page, run as a browser runs them: as modules beside each other.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { joinModules } from '../src/join-modules.ts';
import { closeAtEnd } from './helpers/cleanup.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-joined-'));
closeAtEnd(() => rmSync(folder, { recursive: true }));

const MODULES: Readonly<Record<string, string>> = {
  'page/main.js': `
import { note } from './note.js';
export const views = { one: async () => (await import('./one/one.js')).one, other: async () => (await import('./other.js')).other };
globalThis.joined = { views, notes: [] };
note('main');
`,
  'page/note.js': `export function note(text) {
  globalThis.joined.notes.push(text);
}`,
  'page/common.js': `import { note } from './note.js';
note('common');
export const common = 2;`,
  'page/one/one.js': `import { common } from '../common.js';
import { part } from './part.js';
import { note } from '../note.js';
note('one');
export const one = async () => common * part * (await import('./detail.js')).detail;`,
  'page/one/part.js': `export const part = 3;`,
  'page/one/detail.js': `import { part as p } from './part.js';
export const detail = p + 4;`,
  'page/other.js': `import { common } from './common.js';
import value from './whole.js';
export { part } from './one/part.js';
export const other = common + value;`,
  'page/whole.js': `const value = 5;
export default value;`,
};
const modules = new Map(Object.entries(MODULES));

test('a module is in the script of the one that needs it, and what several need is one more script', () => {
  const scripts = joinModules('page/main.js', modules);
  const owner = (path: string) => [...scripts].filter(([, text]) => text.includes(`const ${path.replaceAll(/\W/g, '_')} = `)).map(([name]) => name);
  expect([...scripts.keys()].toSorted()).toEqual(['detail.js', 'main.js', 'one.js', 'other.js', 'shared.js']);
  expect(Object.fromEntries(['page/note', 'page/common', 'page/one/one', 'page/one/detail', 'page/whole'].map((path) => [path, owner(path)]))).toEqual({
    'page/note': ['main.js'],
    'page/common': ['shared.js'],
    'page/one/one': ['one.js'],
    'page/one/detail': ['detail.js'],
    'page/whole': ['other.js'],
  });
});

test('a script that is loaded later is asked for together with those that it needs', () => {
  const scripts = joinModules('page/main.js', modules);
  expect(scripts.get('main.js')).toContain("await Promise.all([import('./one.js'), import('./shared.js')]).then");
  expect(scripts.get('one.js')).toContain("await Promise.all([import('./detail.js'), import('./shared.js')]).then");
});

test('what only a script and one that it loads need is in the first of them', () => {
  const alone = new Map([...modules, ['page/other.js', 'export const other = 1;']]);
  const scripts = joinModules('page/main.js', alone);
  expect(scripts.has('shared.js')).toBe(false);
  expect(scripts.get('one.js')).toContain('const page_one_part = ');
});

test('each module is evaluated once, when the first script needs it, and gives what it exports', async () => {
  for (const [name, text] of joinModules('page/main.js', modules)) writeFileSync(join(folder, name), text);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  await import(pathToFileURL(join(folder, 'main.js')).href);
  const { joined } = globalThis as unknown as { joined: { notes: string[]; views: Record<string, () => Promise<unknown>> } };
  expect(joined.notes).toEqual(['main']);
  expect(await joined.views['other']!()).toBe(7);
  const one = (await joined.views['one']!()) as () => Promise<number>;
  expect(await one()).toBe(2 * 3 * 7);
  expect(joined.notes).toEqual(['main', 'common', 'one']);
});

test('what cannot be joined is refused by its name', () => {
  const withMain = (text: string) => new Map([['main.js', text]]);
  expect(() => joinModules('main.js', withMain("import { a } from './nothing.js';"))).toThrow('nothing.js, which is not there');
  expect(() => joinModules('main.js', withMain("import * as a from './main.js';"))).toThrow(/main\.js: this form of import or export is not known/);
  const twice = new Map([['main.js', "import('./a/same.js');\nimport('./b/same.js');"], ['a/same.js', ''], ['b/same.js', '']]);
  expect(() => joinModules('main.js', twice)).toThrow('two scripts would be same.js');
});
