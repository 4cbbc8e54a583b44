// The languages of the page, and which one is shown.
import { stored } from '../stored.ts';
import { type Texts, en } from './en.ts';

interface Language {
  readonly name: string;
  /** Loaded when they are shown; English is there, as most of the page's own scripts need it. */
  readonly texts: () => Promise<Texts>;
}

export const LANGUAGES: Readonly<Record<string, Language>> = {
  en: { name: 'English', texts: async () => en },
  ko: { name: '한국어', texts: async () => (await import('./ko.ts')).ko },
};

/** The one chosen before, else the first of the browser's that there is, else English. */
export function currentLanguage(): string {
  const wanted = [stored.read('language'), ...navigator.languages.map((name) => name.slice(0, 2))];
  return wanted.find((name) => name !== undefined && name in LANGUAGES) ?? 'en';
}
