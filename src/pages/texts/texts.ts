// The languages of the page, and which one is shown.
import { stored } from '../stored.ts';
import { type Texts, en } from './en.ts';
import { ko } from './ko.ts';

export const LANGUAGES: Readonly<Record<string, Texts>> = { en, ko };

/** The one chosen before, else the first of the browser's that there is, else English. */
export function currentLanguage(): string {
  const wanted = [stored.read('language'), ...navigator.languages.map((name) => name.slice(0, 2))];
  return wanted.find((name) => name !== undefined && name in LANGUAGES) ?? 'en';
}
