// Makes of client/ and pages/ what a browser loads: `node src/strip-types.ts`, a part of `npm run build`.
//
// The client is a package: Node.js strips its types and leaves everything else where it stands. What the page loads, scripts
// without comments and images, is in a folder that is named after its content: a browser keeps those files for good, and asks
// only for the page, build/index.html. Its styles are in that file: they are as large as what a second request costs.
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { dirname, extname, join, relative } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { joinModules } from './join-modules.ts';

const source = import.meta.dirname;
const output = join(source, 'build');
const keyFile = join(output, 'key');
/** Everything but images is text, and a third of its size when it is compressed. */
const COMPRESSED = ['.css', '.csv', '.js', '.svg'];
/** uPlot as a script that defines a variable: minified it is a third of its module. */
const UPLOT = createRequire(import.meta.url).resolve('uplot/dist/uPlot.iife.min.js');

const SHARED_STYLES = ['pages/theme.css', 'pages/bar.css'];

const sources = readSources();
const programs = ['strip-types.ts', 'join-modules.ts'].map((name) => [name, readFileSync(join(source, name), 'utf8')] as const);
const key = digestOf([...sources, ...programs]);
if (!existsSync(keyFile) || readFileSync(keyFile, 'utf8') !== key) {
  rmSync(output, { recursive: true, force: true });
  writePackage();
  writePages();
  writeFileSync(keyFile, key);
}

/** The text of every file that is read here, by its path. */
function readSources(): Map<string, string> {
  const paths = globSync('{client,pages}/**/*.{ts,css,csv,svg,html}', { cwd: source }).toSorted();
  return new Map([
    ...paths.map((path) => [path, readFileSync(join(source, path), 'utf8')] as const),
    ['uplot/uplot.js', `${readFileSync(UPLOT, 'utf8')}\nexport default uPlot;\n`],
    ['uplot/uplot.css', readFileSync(join(dirname(UPLOT), 'uPlot.min.css'), 'utf8')],
  ]);
}

/** The client for those who import the package, at an address that stays; its text is as it was written. */
function writePackage(): void {
  for (const [path, text] of sources) {
    if (path.startsWith('client/') && path.endsWith('.ts')) writeFile(withJs(path), moduleOf(path, stripTypeScriptTypes(text)), []);
  }
}

function writePages(): void {
  const loaded = loadedFiles();
  const folder = `app/${digestOf(loaded).slice(0, 16)}`;
  for (const [path, text] of loaded) writeFile(join(folder, path), text);
  // Its addresses are relative, as it may be behind any path.
  writeFile('index.html', sources.get('pages/index.html')!.replaceAll('{{folder}}', folder).replace('{{style}}', () => stylesOfPage()), []);
  writeFile('folder', folder, []);
}

/** The styles of views are the last. */
function stylesOfPage(): string {
  const ofPage = [...SHARED_STYLES, 'uplot/uplot.css', 'pages/style.css'];
  const isOfView = (path: string) => extname(path) === '.css' && !ofPage.includes(path) && !/^pages\/(docs|problems)\//.test(path);
  return joinStyles([...ofPage, ...[...sources.keys()].filter(isOfView)]);
}

/** Without comments, and spaces that say nothing. */
function joinStyles(paths: readonly string[]): string {
  const text = paths.map((path) => sources.get(path)!).join('\n');
  return text.replaceAll(/\/\*[^]*?\*\//g, '').replaceAll(/\s+/g, ' ').replaceAll(/ ?([{};]) ?/g, '$1').trim();
}

/** What the pages load: each a few scripts, and those beside the page one style sheet. */
function loadedFiles(): Map<string, string> {
  const modules = pageModules();
  return new Map([
    ...[...joinModules('pages/main.js', modules)].map(([name, text]) => [`pages/${name}`, text] as const),
    ['pages/docs.js', oneScript('pages/docs/main.js', modules)],
    ['pages/docs.css', joinStyles([...SHARED_STYLES, 'pages/docs/docs.css'])],
    ['pages/problems.js', oneScript('pages/problems/main.js', modules)],
    ['pages/problems.css', joinStyles([...SHARED_STYLES, 'pages/style.css', 'pages/problems/problems.css'])],
    ...[...sources].filter(([path]) => ['.csv', '.svg'].includes(extname(path))),
  ]);
}

/** @throws Error if a module of it is imported by import(): of several scripts the names would have to differ from those of the page */
function oneScript(entry: string, modules: ReadonlyMap<string, string>): string {
  const [[, text] = [], ...more] = joinModules(entry, modules);
  if (text === undefined || more.length > 0) throw new Error(`${entry} would have to be one script.`);
  return text;
}

/** All modules as JavaScript that is printed anew: without comments, which are a quarter of what a browser would have to read. */
function pageModules(): Map<string, string> {
  const scripts = [...sources].filter(([path]) => ['.ts', '.js'].includes(extname(path)));
  return new Map(scripts.map(([path, text]) => [withJs(path), path.endsWith('.js') ? text : moduleOf(path, stripTypeScriptTypes(text, { mode: 'transform' }))]));
}

/** A module without types, whose imports name the files beside it. */
function moduleOf(path: string, text: string): string {
  const toUplot = relative(dirname(path), 'uplot/uplot.js');
  return text
    .replaceAll(/(\bfrom |\bimport |\bimport\()'(\.[^']+)\.ts'/g, "$1'$2.js'")
    .replaceAll(/(\bfrom |\bimport\()'uplot'/g, `$1'${toUplot}'`);
}

function withJs(path: string): string {
  return path.replace(/\.ts$/, '.js');
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
