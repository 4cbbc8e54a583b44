// An error as a person reads it: what was wrong and what to do, in the service's own words where it has some.
import type { CarryoverError } from '../client/index.ts';
import { el } from './dom.ts';
import type { Page } from './page.ts';

/** A message in place of what could not be shown. */
export function failureNote({ texts, baseUrl }: Pick<Page, 'texts' | 'baseUrl'>, error: unknown): HTMLElement {
  const note = el('div', { role: 'alert', class: 'error' }, [el('strong', {}, texts.failure.title), ' ', reasonOf(error, texts)]);
  if (isOfCall(error) && error.problem) {
    note.append(' ', el('a', { href: new URL(`problems#${error.code}`, baseUrl).href }, error.code));
  }
  return note;
}

/** Told by its name: where it is shown the client may not be loaded. */
function isOfCall(error: unknown): error is CarryoverError {
  return error instanceof Error && error.name === 'CarryoverError';
}

function reasonOf(error: unknown, texts: Page['texts']): string {
  if (!isOfCall(error)) return (error as Error).message;
  if (error.code === 'no_answer') return texts.failure.unreachable;
  return error.code === 'unauthenticated' ? texts.failure.unauthenticated : error.message;
}
