// Renders the folders of docker/k8s, which use little of kustomize: resources and a namespace. Anything else is an error;
// where kubectl is installed, test/docker/kubernetes.test.ts compares the result with that of `kubectl kustomize`.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly spec: any;
}

/** @throws Error if the kustomization has a field that is not understood here */
export function renderKustomization(folder: string): KubernetesObject[] {
  const text = readFileSync(join(folder, 'kustomization.yaml'), 'utf8');
  const { apiVersion, kind, namespace, resources = [], ...others } = parse(text);
  if (apiVersion !== 'kustomize.config.k8s.io/v1beta1' || kind !== 'Kustomization' || Object.keys(others).length > 0) {
    throw new Error(`not understood in ${folder}: ${JSON.stringify({ apiVersion, kind, ...others })}`);
  }
  const objects = (resources as string[]).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? renderKustomization(path) : readObjects(path);
  });
  if (namespace === undefined) return objects;
  return objects.map((object) => ({ ...object, metadata: { ...object.metadata, namespace } }));
}

/** @throws Error if it is no YAML, or a key is there twice */
function readObjects(path: string): KubernetesObject[] {
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    const [error] = document.errors;
    if (error) throw new Error(`${path}: ${error.message}`);
    return document.toJS();
  });
}
