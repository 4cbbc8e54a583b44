// Compares manifests with the types of the Kubernetes API by TypeScript, which refuses unknown fields, wrong types and
// missing fields in all depths: the types of kubernetes-models are made from the OpenAPI documents of Kubernetes, and of
// the operators' custom resources.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { KubernetesObject } from '../helpers/kustomize.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');

/** What has its types elsewhere, by the group of the API. */
const PACKAGES: Record<string, string> = {
  'keda.sh': '@kubernetes-models/keda/',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator/',
};

/** What TypeScript says of each object, in their order; an empty list if nothing is wrong. */
export async function typeErrorsOf(objects: readonly KubernetesObject[]): Promise<string[][]> {
  const cache = join(ROOT, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  // In the repository, so that the packages are found.
  const folder = mkdtempSync(join(cache, 'kubernetes-'));
  try {
    objects.forEach((object, k) => writeFileSync(join(folder, `object-${k}.ts`), moduleOf(object)));
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig', '--module', 'nodenext', '--pretty', 'false'];
    const files = objects.map((_, k) => join(folder, `object-${k}.ts`));
    const output = await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...options, ...files], { cwd: ROOT }).then(
      ({ stdout }) => stdout,
      (error: { stdout?: string; message: string }) => error.stdout || error.message,
    );
    const lines = output.split('\n').filter((line) => /error TS/.test(line));
    const errors = objects.map((_, k) => lines.filter((line) => line.includes(`object-${k}.ts`)));
    if (errors.flat().length < lines.length || (output !== '' && lines.length === 0)) throw new Error(output);
    return errors;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function moduleOf(object: KubernetesObject): string {
  const { apiVersion, kind } = object;
  const from = `${PACKAGES[apiVersion.split('/')[0]!] ?? 'kubernetes-models/'}${apiVersion}`;
  const literal = JSON.stringify(object, undefined, 2);
  return `import type { I${kind} } from '${from}';\nexport const object: I${kind} = ${literal};\n`;
}
