// The bar on top of the page: the views, and the choices that hold for all of them.
import { button, choice, el } from './dom.ts';
import { askForApiKey } from './key-dialog.ts';
import type { Page } from './page.ts';
import { stored } from './stored.ts';
import type { Texts } from './texts/en.ts';
import { LANGUAGES, currentLanguage } from './texts/texts.ts';
import { themeChoice } from './theme.ts';

export const VIEWS = ['understand', 'try', 'models', 'sessions'] as const;
const ICON = new URL('icon.svg', import.meta.url).href;

/** @param onChange called when the page is to be shown again with other choices */
export function bar(page: Page, shown: string, onChange: () => void): HTMLElement {
  const { texts } = page;
  const links = VIEWS.map((name) => el('a', { href: `#/${name}`, 'aria-current': name === shown && 'page' }, texts.bar[name]));
  return el('header', { class: 'bar' }, barParts(texts, '#/understand', links, toolsOf(page, onChange)));
}

/** What a bar has in it. @param home what the name of the service leads to */
export function barParts(texts: Texts, home: string, links: readonly HTMLElement[], choices: readonly HTMLElement[]): HTMLElement[] {
  const tools = el('div', { class: 'tools', id: 'tools' }, choices);
  // On a phone they are behind a button, so that the bar has two lines.
  const more = button(texts.bar.more, () => {
    const isOpen = tools.classList.toggle('open');
    more.setAttribute('aria-expanded', String(isOpen));
  }, { class: 'more', 'aria-expanded': 'false', 'aria-controls': 'tools' });
  return [
    el('a', { class: 'brand', href: home }, [el('img', { src: ICON, alt: '' }), 'Carryover']),
    el('nav', { 'aria-label': texts.bar.views }, links),
    more,
    tools,
  ];
}

function toolsOf({ texts, baseUrl, apiKey }: Page, onChange: () => void): HTMLElement[] {
  return [
    el('a', { href: new URL('docs', baseUrl).href }, texts.bar.docs),
    el('a', { href: new URL('problems', baseUrl).href }, texts.bar.problems),
    button(apiKey === undefined ? texts.bar.key : texts.bar.keySet, () => askForApiKey(texts, onChange)),
    themeChoice(texts),
    choice(texts.bar.language, Object.entries(LANGUAGES).map(([name, { languageName }]) => [name, languageName]), currentLanguage(), (name) => {
      stored.write('language', name);
      onChange();
    }),
  ];
}
