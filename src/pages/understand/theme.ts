// The colours of a picture that is painted once must be told when light becomes dark.

/** @returns what ends it */
export function onThemeChange(paint: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const choice = new MutationObserver(paint);
  system.addEventListener('change', paint);
  choice.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  return () => {
    system.removeEventListener('change', paint);
    choice.disconnect();
  };
}

/** The value that a variable of style.css has now. */
export function cssColor(variable: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
