// The programs of snippets.ts on the page, each with a button that copies it.
import { button, el, liveText } from './dom.ts';
import type { Page } from './page.ts';
import { SNIPPETS, type SnippetCall } from './snippets.ts';

type Language = keyof typeof SNIPPETS;

/** A panel with the calls as programs; what is shown is what `calls` returns when a language is chosen or copied. */
export function snippetsPanel({ texts, baseUrl, apiKey }: Page, calls: () => readonly SnippetCall[]): HTMLElement {
  const { title, copy, copied, notCopied } = texts.snippets;
  const said = liveText({ class: 'weak' });
  const program = el('pre', { tabindex: 0 });
  const tabs = (Object.keys(SNIPPETS) as Language[]).map((language) => button(language, () => show(language), { 'aria-pressed': 'false' }));
  let shown: Language = 'curl';

  const textOf = () => SNIPPETS[shown](calls(), { baseUrl, needsKey: apiKey !== undefined });
  const show = (language: Language) => {
    shown = language;
    for (const tab of tabs) tab.setAttribute('aria-pressed', String(tab.textContent === language));
    program.textContent = textOf();
    said.textContent = '';
  };
  const copyProgram = async () => {
    program.textContent = textOf();
    said.textContent = await navigator.clipboard.writeText(program.textContent).then(() => copied, () => notCopied);
  };

  const panel = el('details', { class: 'panel snippets' }, [
    el('summary', {}, title),
    el('div', { class: 'row' }, [...tabs, button(copy, () => void copyProgram(), { class: 'primary' }), said]),
    program,
  ], { toggle: () => panel.open && show(shown) });
  return panel;
}
