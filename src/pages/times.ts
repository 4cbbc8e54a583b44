// Times as people read them: how long ago, how long still.
import { currentLanguage } from './texts/texts.ts';

const UNITS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;

/** `3 minutes ago`, `in 2 hours`, in the language of the page. @param time as the service sends it, ISO 8601 */
export function relativeTime(time: string): HTMLTimeElement {
  const seconds = Math.round((Date.parse(time) - Date.now()) / 1_000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[UNITS.length - 1]!;
  const element = document.createElement('time');
  element.dateTime = time;
  element.title = new Date(time).toLocaleString(currentLanguage());
  element.textContent = new Intl.RelativeTimeFormat(currentLanguage(), { numeric: 'auto' }).format(Math.trunc(seconds / size), unit);
  return element;
}
