// The bar of the pages beside the page at /: those of the API and of its errors, which are in English.
import { VIEWS, barParts } from './bar-parts.ts';
import { el } from './dom.ts';
import { en } from './texts/en.ts';
import { themeChoice } from './theme.ts';

/** The service; this module is a part of app/<digest>/pages/docs.js or problems.js of it. */
export const BASE_URL = new URL('../../../', import.meta.url);

/** Fills the bar of the page. @param onTheme called when the theme is another */
export function fillOuterBar(shown: 'docs' | 'problems', onTheme?: () => void): void {
  const link = (address: string, text: string, isShown = false) =>
    el('a', { href: new URL(address, BASE_URL).href, 'aria-current': isShown && 'page' }, text);
  const links = VIEWS.map((name) => link(`#/${name}`, en.bar[name]));
  const tools = [link('docs', en.bar.docs, shown === 'docs'), link('problems', en.bar.problems, shown === 'problems'), themeChoice(en, onTheme)];
  document.querySelector('header.bar')!.replaceChildren(...barParts(en, BASE_URL.href, links, tools));
}
