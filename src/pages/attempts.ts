// What a person has asked for on the page: each is done until the view is left, and says why it failed.
import { el } from './dom.ts';
import { failureNote } from './failure.ts';
import type { Page } from './page.ts';

export class Attempts {
  /** Shows why the last attempt failed; empty if it did not. */
  readonly element = el('div');
  readonly #page: Page;
  readonly #left = new AbortController();

  constructor(page: Page) {
    this.#page = page;
  }

  /** Aborted when the view is left. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  /** @returns whether it worked */
  async run(action: () => Promise<void>): Promise<boolean> {
    this.element.replaceChildren();
    try {
      await action();
      return true;
    } catch (error) {
      if (!isAbort(error) && !this.signal.aborted) this.element.replaceChildren(failureNote(this.#page, error));
      return false;
    }
  }

  /** Ends what is still being done. */
  dispose(): void {
    this.#left.abort();
  }
}

/** Whether a person has ended it. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
