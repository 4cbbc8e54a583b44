// Makes of client/ and pages/ what a browser loads: `node src/strip-types.ts`, a part of `npm run build`.
//
// Node.js strips the types and leaves everything else where it stands, so what a browser shows of a module is its source.
// The files are put into build/, the page itself as build/index.html and all that it loads into a folder that is named after
// its content: a browser keeps those files for good, and asks only for the page whether there is a newer one.
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { dirname, extname, join, relative } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const source = import.meta.dirname;
const output = join(source, 'build');
const keyFile = join(output, 'key');
/** Files that are copied as they are; `.ts` becomes `.js`. */
const COPIED = ['.css', '.svg'];
/** Everything but images is text, and a third of its size when it is compressed. */
const COMPRESSED = ['.css', '.js', '.svg'];
/** uPlot as a script that defines a variable: minified it is a third of its module. */
const UPLOT = createRequire(import.meta.url).resolve('uplot/dist/uPlot.iife.min.js');

const files = readFiles();
const template = readFileSync(join(source, 'pages/index.html'), 'utf8');
const key = digestOf([...files, ['index.html', template], ['strip-types.ts', readFileSync(import.meta.filename, 'utf8')]]);
if (!existsSync(keyFile) || readFileSync(keyFile, 'utf8') !== key) {
  rmSync(output, { recursive: true, force: true });
  write(files);
  writeFileSync(keyFile, key);
}

/** The text of every file that a browser may load, by its path. */
function readFiles(): Map<string, string> {
  const found = new Map<string, string>();
  for (const path of globSync('{client,pages}/**/*.{ts,css,svg}', { cwd: source }).toSorted()) {
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
    .replaceAll(/\bfrom 'uplot'/g, `from '${toUplot}'`);
}

function write(all: Map<string, string>): void {
  const folder = `app/${digestOf(all).slice(0, 16)}`;
  for (const [path, text] of all) writeFile(join(folder, path), text);
  // For those who import the package: at an address that stays.
  for (const [path, text] of all) if (path.startsWith('client/')) writeFile(path, text, []);
  writeFile('index.html', pageOf(folder, all), []);
  writeFile('folder', folder, []);
}

/** The page, with the addresses of what it loads; relative, as it may be behind any path. */
function pageOf(folder: string, all: Map<string, string>): string {
  const modules = modulesOf('pages/main.js', all);
  const preloads = modules.map((path) => `<link rel="modulepreload" href="${folder}/${path}">`);
  return template.replaceAll('{{folder}}', folder).replace('{{preloads}}', preloads.join('\n'));
}

/** A module and all that it imports at once, so that a browser fetches them together and not one after the other. */
function modulesOf(entry: string, all: Map<string, string>): string[] {
  const reached = new Set<string>();
  const reach = (path: string): void => {
    if (reached.has(path)) return;
    reached.add(path);
    const text = all.get(path);
    if (text === undefined) throw new Error(`A module imports ${path}, which is not there.`);
    for (const [, name] of text.matchAll(/^(?:import|export)[^;]*?from '(\.[^']+)'/gm)) reach(join(dirname(path), name!));
  };
  reach(entry);
  return [...reached];
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
