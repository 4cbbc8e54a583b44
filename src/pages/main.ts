// The page: a bar, and one view at a time, chosen by the part of the address behind #.
import { Carryover } from '../client/index.ts';
import { bar } from './bar.ts';
import { button, el } from './dom.ts';
import { currentApiKey } from './key-dialog.ts';
import { modelsView } from './models/models-view.ts';
import type { Page, View, ViewFactory } from './page.ts';
import { sessionsView } from './sessions/sessions-view.ts';
import { LANGUAGES, currentLanguage } from './texts/texts.ts';
import { applyTheme } from './theme.ts';
import { tryView } from './try/try-view.ts';
import { understandView } from './understand/understand-view.ts';

const VIEWS: Readonly<Record<string, ViewFactory>> = {
  understand: understandView,
  try: tryView,
  models: modelsView,
  sessions: sessionsView,
};
/** This module is app/<digest>/pages/main.js of the service. */
const BASE_URL = new URL('../../../', import.meta.url);
/** A person who waits wants to know earlier than a program that nobody answers. */
const GIVE_UP_MS = 3000;

let view: View | undefined;

function show(): void {
  view?.dispose();
  const language = currentLanguage();
  const [name = '', query] = location.hash.replace(/^#\//, '').split('?');
  const shown = name in VIEWS ? name : 'understand';
  const apiKey = currentApiKey();
  const page: Page = {
    carryover: new Carryover(BASE_URL.href, { apiKey, retry: { giveUpMs: GIVE_UP_MS } }),
    texts: LANGUAGES[language]!,
    baseUrl: BASE_URL,
    apiKey,
  };
  view = VIEWS[shown]!(page, new URLSearchParams(query));
  const main = el('main', { tabindex: -1 }, [view.element]);
  document.documentElement.lang = language;
  document.title = `${page.texts.bar[shown as 'try']} · Carryover`;
  document.body.replaceChildren(button(page.texts.bar.skip, () => main.focus(), { class: 'skip' }), bar(page, shown, show), main);
}

applyTheme();
addEventListener('hashchange', () => {
  show();
  document.querySelector('main')?.focus();
});
show();
