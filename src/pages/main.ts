// The page: a bar, and one view at a time, chosen by the part of the address behind #.
import { bar } from './bar.ts';
import { button, el } from './dom.ts';
import { currentApiKey } from './key-dialog.ts';
import type { Page, View, ViewFactory } from './page.ts';
import { type Texts, en } from './texts/en.ts';
import { LANGUAGES, currentLanguage } from './texts/texts.ts';
import { applyTheme } from './theme.ts';
import { understandView } from './understand/understand-view.ts';

/** The first is there: another file would take longer than it saves. The others are loaded when they are shown. */
const VIEWS: Readonly<Record<string, () => Promise<ViewFactory>>> = {
  understand: async () => understandView,
  try: async () => (await import('./try/try-view.ts')).tryView,
  models: async () => (await import('./models/models-view.ts')).modelsView,
  sessions: async () => (await import('./sessions/sessions-view.ts')).sessionsView,
};
/** This module is app/<digest>/pages/main.js of the service. */
const BASE_URL = new URL('../../../', import.meta.url);

let view: View | undefined;
let shownTexts: Texts = en;
let shows = 0;

async function show(): Promise<void> {
  const turn = ++shows;
  const language = currentLanguage();
  const [name = '', query] = location.hash.replace(/^#\//, '').split('?');
  const shown = Object.hasOwn(VIEWS, name) ? name : 'understand';
  const apiKey = currentApiKey();
  const loaded = await Promise.all([VIEWS[shown]!(), LANGUAGES[language]!.texts()]).catch(() => undefined);
  // Another view, or another language, was chosen meanwhile.
  if (turn !== shows) return;
  if (!loaded) return showLoadFailure();
  const [viewFactory, texts] = loaded;
  view?.dispose();
  shownTexts = texts;
  const page: Page = { texts, baseUrl: BASE_URL, apiKey };
  view = viewFactory(page, new URLSearchParams(query));
  const main = el('main', { tabindex: -1 }, [view.element]);
  document.documentElement.lang = language;
  document.title = `${texts.bar[shown as 'try']} · Carryover`;
  document.body.replaceChildren(button(texts.bar.skip, () => main.focus(), { class: 'skip' }), bar(page, shown, () => void show()), main);
}

/** After an upgrade of the service its files have other names, and a page that is open asks for those of before. */
function showLoadFailure(): void {
  const { notLoaded, reload } = shownTexts.failure;
  document.querySelector('.not-loaded')?.remove();
  const note = el('div', { role: 'alert', class: 'error not-loaded' }, [notLoaded, ' ', button(reload, () => location.reload())]);
  (document.querySelector('main') ?? document.body).prepend(note);
}

async function showNext(): Promise<void> {
  await show();
  document.querySelector('main')?.focus();
}

applyTheme();
addEventListener('hashchange', () => void showNext());
void show();
