// What every view of the page is given, and what it is.
import type { Texts } from './texts/en.ts';

export interface Page {
  readonly texts: Texts;
  /** Of the service, with a slash at the end; behind a gateway it has a path. */
  readonly baseUrl: URL;
  /** Undefined if none was entered. */
  readonly apiKey: string | undefined;
}

/** One of the pages behind the links of the bar; dispose() ends what it has begun. */
export interface View {
  readonly element: HTMLElement;
  dispose(): void;
}

/** @param parameters what the address has behind the name of the view: `#/try?model=austen` */
export type ViewFactory = (page: Page, parameters: URLSearchParams) => View;
