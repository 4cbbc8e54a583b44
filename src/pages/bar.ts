// The bar on top of the page: the views, and the choices that hold for all of them.
import { button, el } from './dom.ts';
import { askForApiKey } from './key-dialog.ts';
import type { Page } from './page.ts';
import { stored } from './stored.ts';
import { LANGUAGES, currentLanguage } from './texts/texts.ts';

const VIEWS = ['understand', 'try', 'models', 'sessions'] as const;
const THEMES = ['auto', 'light', 'dark'] as const;
const ICON = new URL('icon.svg', import.meta.url).href;

/** @param onChange called when the page is to be shown again with other choices */
export function bar(page: Page, shown: string, onChange: () => void): HTMLElement {
  const { texts } = page;
  const links = VIEWS.map((name) => el('a', { href: `#/${name}`, 'aria-current': name === shown && 'page' }, texts.bar[name]));
  const tools = el('div', { class: 'tools', id: 'tools' }, toolsOf(page, onChange));
  // On a phone they are behind a button, so that the bar has two lines.
  const more = button(texts.bar.more, () => {
    const isOpen = tools.classList.toggle('open');
    more.setAttribute('aria-expanded', String(isOpen));
  }, { class: 'more', 'aria-expanded': 'false', 'aria-controls': 'tools' });
  return el('header', { class: 'bar' }, [
    el('a', { class: 'brand', href: '#/understand' }, [el('img', { src: ICON, alt: '' }), 'Carryover']),
    el('nav', { 'aria-label': texts.bar.views }, links),
    more,
    tools,
  ]);
}

function toolsOf({ texts, baseUrl, apiKey }: Page, onChange: () => void): HTMLElement[] {
  return [
    el('a', { href: new URL('docs', baseUrl).href }, texts.bar.docs),
    el('a', { href: new URL('problems', baseUrl).href }, texts.bar.problems),
    button(apiKey === undefined ? texts.bar.key : texts.bar.keySet, () => askForApiKey(texts, onChange)),
    choice(texts.bar.theme, THEMES.map((name) => [name, texts.bar.themes[name]]), stored.read('theme') ?? 'auto', (name) => {
      stored.write('theme', name);
      applyTheme();
    }),
    choice(texts.bar.language, Object.entries(LANGUAGES).map(([name, { languageName }]) => [name, languageName]), currentLanguage(), (name) => {
      stored.write('language', name);
      onChange();
    }),
  ];
}

/** Light or dark as chosen, or as the system has it. */
export function applyTheme(): void {
  const theme = stored.read('theme') ?? 'auto';
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

function choice(label: string, options: readonly (readonly [string, string])[], chosen: string, onChoose: (name: string) => void): HTMLElement {
  const select = el(
    'select',
    { 'aria-label': label },
    options.map(([value, text]) => el('option', { value, selected: value === chosen }, text)),
    { change: () => onChoose(select.value) },
  );
  return select;
}
