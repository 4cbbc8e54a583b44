// The view "sessions".
import { el } from '../dom.ts';
import type { ViewFactory } from '../page.ts';

export const sessionsView: ViewFactory = ({ texts }) => ({
  element: el('section', {}, [el('h1', {}, texts.bar.sessions)]),
  dispose: () => undefined,
});
