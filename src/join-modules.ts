// Joins the modules of a page into a few scripts: a browser that has to ask for sixty files takes three times as long until the
// page answers, and one that has to read every view before it shows the first takes longer than it needs (load/README.md, npm run bench:page).
//
// What the entry imports is one script, what a module imports by import() another one, and what several of those need is
// shared.js. Each module becomes a function, which is called once, when another one imports it: so its names stay its own. That
// needs what the house rules hold anyway: imports and exports by name, none that change, no circles.
import { basename, dirname, join } from 'node:path';

const IMPORT = /^(?:import|export) \{[^}]*\} from '(\.[^']+)';$|^import \w+ from '(\.[^']+)';$/gm;
const LATER = /\bimport\('(\.[^']+)'\)/g;
/** Calls a function at its first call, and gives what it returned at each. */
const ONCE = 'const once = (make) => {\n  let made;\n  return () => (made ??= make());\n};\n';
const SHARED = 'shared.js';

type Modules = ReadonlyMap<string, string>;

/** The modules that a script has to be loaded for: what it reaches by imports, and which others load it. */
interface Entry {
  readonly reached: ReadonlySet<string>;
  readonly loaders: readonly string[];
}

/**
 * @param modules the text of each by its path; imports name files relative to the importing one
 * @returns the scripts by their names, those of the modules that they begin with, which find each other in one folder
 * @throws Error if a module is not there, or has a form of import or export that is not known here
 */
export function joinModules(entry: string, modules: Modules): Map<string, string> {
  const entries = entriesOf(entry, modules);
  const scriptOf = new Map<string, string>();
  for (const path of new Set([...entries.values()].flatMap(({ reached }) => [...reached]))) scriptOf.set(path, scriptWith(path, entries));
  const names = [...entries.keys()].filter((path) => scriptOf.get(path) === basename(path)).map((path) => basename(path));
  const twice = names.find((name, k) => names.indexOf(name) !== k);
  if (twice !== undefined) throw new Error(`Of the modules that are loaded later two scripts would be ${twice}: give one of them another name.`);
  const scripts = Map.groupBy(scriptOf.keys(), (path) => scriptOf.get(path)!);
  const joined = new Map([...scripts].map(([script, paths]) => [script, scriptText(script, paths, modules, scriptOf)]));
  return joined.set(basename(entry), `${joined.get(basename(entry))}${variableOf(entry)}();\n`);
}

/** The first module, and all that are imported by import(), by their paths. */
function entriesOf(first: string, modules: Modules): Map<string, Entry> {
  const entries = new Map<string, Entry>([[first, { reached: reachedBy(first, modules), loaders: [] }]]);
  for (const [loader, { reached }] of entries) {
    for (const path of [...reached].flatMap((one) => importsOf(one, modules, LATER))) {
      const known = entries.get(path) ?? { reached: reachedBy(path, modules), loaders: [] };
      entries.set(path, { ...known, loaders: [...known.loaders, loader] });
    }
  }
  return entries;
}

/** The name of the script that a module is in: of those that need it the one that is there before all others. */
function scriptWith(path: string, entries: ReadonlyMap<string, Entry>): string {
  const isThereBefore = (one: string, other: string): boolean => {
    const { loaders } = entries.get(other)!;
    return loaders.length > 0 && loaders.every((loader) => loader === one || isThereBefore(one, loader));
  };
  const users = [...entries.keys()].filter((one) => entries.get(one)!.reached.has(path));
  const first = users.find((one) => users.every((other) => other === one || isThereBefore(one, other)));
  // What is loaded alone, as uPlot is by one view, is not loaded with what another view shares.
  return basename(first ?? (entries.has(path) ? path : SHARED));
}

/** The module and all that it imports, but not by import(). */
function reachedBy(entry: string, modules: Modules): Set<string> {
  const reached = new Set([entry]);
  for (const path of reached) for (const imported of importsOf(path, modules, IMPORT)) reached.add(imported);
  return reached;
}

function importsOf(path: string, modules: Modules, form: RegExp): string[] {
  const text = modules.get(path);
  if (text === undefined) throw new Error(`A module imports ${path}, which is not there.`);
  return [...text.matchAll(form)].map(([, named, whole]) => join(dirname(path), (named ?? whole)!));
}

function scriptText(script: string, paths: readonly string[], modules: Modules, scriptOf: ReadonlyMap<string, string>): string {
  const foreign = new Set(paths.flatMap((path) => importsOf(path, modules, IMPORT)).filter((path) => scriptOf.get(path) !== script));
  const imports = [...Map.groupBy(foreign, (path) => scriptOf.get(path)!)].map(
    ([other, imported]) => `import { ${imported.map(variableOf).join(', ')} } from './${other}';\n`,
  );
  const functions = paths.map((path) => `const ${variableOf(path)} = once((() => {\n${bodyOf(path, modules, scriptOf)}\n}));\n`);
  return `${imports.join('')}${ONCE}${functions.join('')}export { ${paths.map(variableOf).join(', ')} };\n`;
}

/** The module as the body of a function that returns what it exports. */
function bodyOf(path: string, modules: Modules, scriptOf: ReadonlyMap<string, string>): string {
  const exported: string[] = [];
  const imported = (name: string) => join(dirname(path), name);
  const variable = (name: string) => variableOf(imported(name));
  const body = modules.get(path)!
    .replace(/^export \{([^}]*)\} from '(\.[^']+)';$/gm, (_, names: string, from: string) => {
      exported.push(...namesOf(names).map(([name, local]) => `${local}: ${variable(from)}().${name}`));
      return '';
    })
    .replace(/^import \{([^}]*)\} from '(\.[^']+)';$/gm, (_, names: string, from: string) => {
      return `const { ${namesOf(names).map(([name, local]) => `${name}: ${local}`).join(', ')} } = ${variable(from)}();`;
    })
    .replace(/^import (\w+) from '(\.[^']+)';$/gm, (_, local: string, from: string) => `const ${local} = ${variable(from)}().default;`)
    .replace(LATER, (_, from: string) => {
      // Together with the scripts that this one needs: a browser would ask for those when it has read this one.
      const [own, ...others] = [...reachedBy(imported(from), modules)].map((one) => scriptOf.get(one)!);
      const scripts = new Set([own, ...others.filter((script) => script !== scriptOf.get(path))]);
      return `Promise.all([${[...scripts].map((script) => `import('./${script}')`).join(', ')}]).then(([script]) => script.${variable(from)}())`;
    })
    .replace(/^export default (\w+);$/gm, (_, name: string) => {
      exported.push(`default: ${name}`);
      return '';
    })
    .replace(/^export\s+((?:const|class|(?:async\s+)?function\*?)\s+)(\w+)/gm, (_, keyword: string, name: string) => {
      exported.push(name);
      return `${keyword}${name}`;
    });
  const left = /^(?:import|export)\b(?!\().*$/m.exec(body)?.[0];
  if (left !== undefined) throw new Error(`${path}: this form of import or export is not known: ${left}`);
  return `${body}\nreturn { ${exported.join(', ')} };`;
}

/** `a, b as c` as pairs; where types were there may be nothing between two commas. */
function namesOf(list: string): [name: string, local: string][] {
  const names = list.split(',').map((one) => one.trim()).filter((one) => one !== '');
  return names.map((one) => {
    const [name, local = name] = one.split(/\s+as\s+/);
    return [name!, local!];
  });
}

function variableOf(path: string): string {
  return path.replace(/\.js$/, '').replaceAll(/\W/g, '_');
}
