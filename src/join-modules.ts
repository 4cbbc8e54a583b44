// Joins the modules of the page into one script: a browser that has to ask for sixty files takes three times as long until the
// page answers.
//
// Each module becomes a function, which is called once, when another one imports it: so its names stay its own, its text stays as
// it is written, and what is imported by import() takes no time before. That needs what the house rules hold anyway: imports and
// exports by name, none that change, no circles.
import { dirname, join } from 'node:path';

const IMPORT = /^(?:import|export) \{[^}]*\} from '(\.[^']+)';$|^import \w+ from '(\.[^']+)';$|\bimport\('(\.[^']+)'\)/gm;
/** Calls a function at its first call, and gives what it returned at each. */
const ONCE = 'const once = (make) => {\n  let made;\n  return () => (made ??= make());\n};\n';

/**
 * @param modules the text of each by its path; imports name files relative to the importing one
 * @throws Error if a module is not there, or has a form of import or export that is not known here
 */
export function joinModules(entry: string, modules: ReadonlyMap<string, string>): string {
  const joined = new Map<string, string>();
  const add = (path: string): void => {
    if (joined.has(path)) return;
    const text = modules.get(path);
    if (text === undefined) throw new Error(`A module imports ${path}, which is not there.`);
    for (const [, named, whole, later] of text.matchAll(IMPORT)) add(join(dirname(path), (named ?? whole ?? later)!));
    joined.set(path, `// ${path}\nconst ${variableOf(path)} = once(() => {\n${bodyOf(path, text)}\n});\n`);
  };
  add(entry);
  return [ONCE, ...joined.values(), `${variableOf(entry)}();\n`].join('\n');
}

/** The module as the body of a function that returns what it exports. */
function bodyOf(path: string, text: string): string {
  const exported: string[] = [];
  const variable = (name: string) => variableOf(join(dirname(path), name));
  const body = text
    .replace(/^export \{([^}]*)\} from '(\.[^']+)';$/gm, (_, names: string, from: string) => {
      exported.push(...namesOf(names).map(([name, local]) => `${local}: ${variable(from)}().${name}`));
      return '';
    })
    .replace(/^import \{([^}]*)\} from '(\.[^']+)';$/gm, (_, names: string, from: string) => {
      return `const { ${namesOf(names).map(([name, local]) => `${name}: ${local}`).join(', ')} } = ${variable(from)}();`;
    })
    .replace(/^import (\w+) from '(\.[^']+)';$/gm, (_, local: string, from: string) => `const ${local} = ${variable(from)}().default;`)
    .replace(/\bimport\('(\.[^']+)'\)/g, (_, from: string) => `Promise.resolve().then(${variable(from)})`)
    .replace(/^export default (\w+);$/gm, (_, name: string) => {
      exported.push(`default: ${name}`);
      return '';
    })
    .replace(/^export\s+((?:const|class|(?:async\s+)?function\*?)\s+)(\w+)/gm, (_, keyword: string, name: string) => {
      exported.push(name);
      return `${keyword}${name}`;
    });
  const left = /^(?:import|export)\b.*$/m.exec(body)?.[0];
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
