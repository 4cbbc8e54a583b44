// The view "models".
import { el } from '../dom.ts';
import type { ViewFactory } from '../page.ts';

export const modelsView: ViewFactory = ({ texts }) => ({
  element: el('section', {}, [el('h1', {}, texts.bar.models)]),
  dispose: () => undefined,
});
