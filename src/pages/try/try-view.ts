// The view "try".
import { el } from '../dom.ts';
import type { ViewFactory } from '../page.ts';

export const tryView: ViewFactory = ({ texts }) => ({
  element: el('section', {}, [el('h1', {}, texts.bar.try)]),
  dispose: () => undefined,
});
