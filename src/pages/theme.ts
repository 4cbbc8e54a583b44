// Light or dark, as chosen on any of the pages, or as the system has it.
import { choice } from './dom.ts';
import { stored } from './stored.ts';
import type { Texts } from './texts/en.ts';

const THEMES = ['auto', 'light', 'dark'] as const;

export function applyTheme(): void {
  const theme = stored.read('theme') ?? 'auto';
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

/** @param onChange called when the theme is another */
export function themeChoice({ bar }: Pick<Texts, 'bar'>, onChange?: () => void): HTMLElement {
  return choice(bar.theme, THEMES.map((name) => [name, bar.themes[name]]), stored.read('theme') ?? 'auto', (name) => {
    stored.write('theme', name);
    applyTheme();
    onChange?.();
  });
}
