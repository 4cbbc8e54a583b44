// Makes of client/ and pages/ what a browser loads: `node src/strip-types.ts`, a part of `npm run build`.
//
// Node.js strips the types and leaves everything else where it stands, so what a browser shows is the source. The page is put
// into build/index.html; what it loads is one script, one style sheet and images, in a folder that is named after its content:
// a browser keeps those files for good, and asks only for the page whether there is a newer one.
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { dirname, extname, join, relative } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { joinModules } from './join-modules.ts';

const source = import.meta.dirname;
const output = join(source, 'build');
const keyFile = join(output, 'key');
/** Files that are copied as they are; `.ts` becomes `.js`. */
const COPIED = ['.css', '.csv', '.svg'];
/** Everything but images is text, and a third of its size when it is compressed. */
const COMPRESSED = ['.css', '.csv', '.js', '.svg'];
/** uPlot as a script that defines a variable: minified it is a third of its module. */
const UPLOT = createRequire(import.meta.url).resolve('uplot/dist/uPlot.iife.min.js');

const files = readFiles();
const template = readFileSync(join(source, 'pages/index.html'), 'utf8');
const programs = ['strip-types.ts', 'join-modules.ts'].map((name) => [name, readFileSync(join(source, name), 'utf8')] as const);
const key = digestOf([...files, ['index.html', template], ...programs]);
if (!existsSync(keyFile) || readFileSync(keyFile, 'utf8') !== key) {
  rmSync(output, { recursive: true, force: true });
  write(files);
  writeFileSync(keyFile, key);
}

/** The text of every file that the page is made of, by its path. */
function readFiles(): Map<string, string> {
  const found = new Map<string, string>();
  for (const path of globSync('{client,pages}/**/*.{ts,css,csv,svg}', { cwd: source }).toSorted()) {
    const text = readFileSync(join(source, path), 'utf8');
    if (COPIED.includes(extname(path))) found.set(path, text);
    else found.set(path.replace(/\.ts$/, '.js'), moduleOf(path, text));
  }
  found.set('uplot/uplot.js', `${readFileSync(UPLOT, 'utf8')}\nexport default uPlot;\n`);
  found.set('uplot/uplot.css', readFileSync(join(dirname(UPLOT), 'uPlot.min.css'), 'utf8'));
  return found;
}

/** A module without types, whose imports name the files beside it. */
function moduleOf(path: string, text: string): string {
  const toUplot = relative(dirname(path), 'uplot/uplot.js');
  return stripTypeScriptTypes(text)
    .replaceAll(/(\bfrom |\bimport |\bimport\()'(\.[^']+)\.ts'/g, "$1'$2.js'")
    .replaceAll(/(\bfrom |\bimport\()'uplot'/g, `$1'${toUplot}'`);
}

function write(all: ReadonlyMap<string, string>): void {
  const loaded = loadedFiles(all);
  const folder = `app/${digestOf(loaded).slice(0, 16)}`;
  for (const [path, text] of loaded) writeFile(join(folder, path), text);
  // For those who import the package: at an address that stays.
  for (const [path, text] of all) if (path.startsWith('client/')) writeFile(path, text, []);
  // Its addresses are relative, as it may be behind any path.
  writeFile('index.html', template.replaceAll('{{folder}}', folder), []);
  writeFile('folder', folder, []);
}

/** What the pages load, each all of its modules as one script and its style sheets as one; those of views are the last. */
function loadedFiles(all: ReadonlyMap<string, string>): Map<string, string> {
  const shared = ['pages/theme.css', 'pages/bar.css'];
  const ofPage = [...shared, 'uplot/uplot.css', 'pages/style.css'];
  const isOfView = (path: string) => extname(path) === '.css' && !ofPage.includes(path) && !/^pages\/(docs|problems)\//.test(path);
  const joined = (paths: readonly string[]) => paths.map((path) => all.get(path)!).join('\n');
  return new Map([
    ['pages/main.js', joinModules('pages/main.js', all)],
    ['pages/style.css', joined([...ofPage, ...[...all.keys()].filter(isOfView)])],
    ['pages/docs.js', joinModules('pages/docs/main.js', all)],
    ['pages/docs.css', joined([...shared, 'pages/docs/docs.css'])],
    ['pages/problems.js', joinModules('pages/problems/main.js', all)],
    ['pages/problems.css', joined([...shared, 'pages/style.css', 'pages/problems/problems.css'])],
    ...[...all].filter(([path]) => ['.csv', '.svg'].includes(extname(path))),
  ]);
}

function writeFile(path: string, text: string, compressed: readonly string[] = COMPRESSED): void {
  const file = join(output, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  if (!compressed.includes(extname(path))) return;
  writeFileSync(`${file}.br`, brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: text.length } }));
  writeFileSync(`${file}.gz`, gzipSync(text, { level: 9 }));
}

function digestOf(texts: Iterable<readonly [string, string]>): string {
  const hash = createHash('sha256');
  for (const [path, text] of texts) hash.update(`${path}\0${text}\0`);
  return hash.digest('hex');
}
