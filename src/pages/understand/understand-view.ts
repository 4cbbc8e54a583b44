// The view "understand".
import { el } from '../dom.ts';
import type { ViewFactory } from '../page.ts';

export const understandView: ViewFactory = ({ texts }) => ({
  element: el('section', {}, [el('h1', {}, texts.bar.understand)]),
  dispose: () => undefined,
});
