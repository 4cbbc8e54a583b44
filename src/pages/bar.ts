// The bar on top of the page: the views, and the choices that hold for all of them.
import { VIEWS, barParts } from './bar-parts.ts';
import { button, choice, el } from './dom.ts';
import { askForApiKey } from './key-dialog.ts';
import type { Page } from './page.ts';
import { stored } from './stored.ts';
import { LANGUAGES, currentLanguage } from './texts/texts.ts';
import { themeChoice } from './theme.ts';

/** @param onChange called when the page is to be shown again with other choices */
export function bar(page: Page, shown: string, onChange: () => void): HTMLElement {
  const { texts } = page;
  const links = VIEWS.map((name) => el('a', { href: `#/${name}`, 'aria-current': name === shown && 'page' }, texts.bar[name]));
  return el('header', { class: 'bar' }, barParts(texts, '#/understand', links, toolsOf(page, onChange)));
}

function toolsOf({ texts, baseUrl, apiKey }: Page, onChange: () => void): HTMLElement[] {
  return [
    el('a', { href: new URL('docs', baseUrl).href }, texts.bar.docs),
    el('a', { href: new URL('problems', baseUrl).href }, texts.bar.problems),
    button(apiKey === undefined ? texts.bar.key : texts.bar.keySet, () => askForApiKey(texts, onChange)),
    themeChoice(texts),
    choice(texts.bar.language, Object.entries(LANGUAGES).map(([language, { name }]) => [language, name]), currentLanguage(), (name) => {
      stored.write('language', name);
      onChange();
    }),
  ];
}
