import { Type } from 'typebox';

/** How many entries a page of a list may have. In a query everything is text. */
export const pageLimit = (description: string) =>
  Type.String({ pattern: '^([1-9]\\d{0,2}|1000)$', description });
