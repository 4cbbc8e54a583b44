// What models are called on the page.
import type { ModelInfo } from '../client/index.ts';

const BUILT_IN = ['sunspots', 'weather', 'austen'];

/** The name under which a model is built in; it can be neither moved nor deleted. */
export function builtInName({ names }: ModelInfo): string | undefined {
  return names.find((name) => BUILT_IN.includes(name));
}

/** Its first name, else the beginning of its id. */
export function titleOf({ names, id }: ModelInfo): string {
  return names[0] ?? shortId(id);
}

/** All of its names, else the beginning of its id. */
export function allNames({ names, id }: ModelInfo): string {
  return names.join(', ') || shortId(id);
}

/** The beginning of an id `sha256:…`, which tells it from others. */
export function shortId(id: string): string {
  return `${id.slice(0, 'sha256:'.length + 8)}…`;
}
