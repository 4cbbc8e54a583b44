// What the bars of all pages have.
import { button, el } from './dom.ts';
import { icon } from './icon.ts';
import type { Texts } from './texts/en.ts';

export const VIEWS = ['understand', 'try', 'models', 'sessions'] as const;

/** What a bar has in it. @param home what the name of the service leads to */
export function barParts(texts: Texts, home: string, links: readonly HTMLElement[], choices: readonly HTMLElement[]): HTMLElement[] {
  const tools = el('div', { class: 'tools', id: 'tools' }, choices);
  // On a phone they are behind a button, so that the bar has two lines.
  const more = button(texts.bar.more, () => {
    const isOpen = tools.classList.toggle('open');
    more.setAttribute('aria-expanded', String(isOpen));
  }, { class: 'more', 'aria-expanded': 'false', 'aria-controls': 'tools' });
  return [
    el('a', { class: 'brand', href: home }, [icon(), 'Carryover']),
    el('nav', { 'aria-label': texts.bar.views }, links),
    more,
    tools,
  ];
}
