// The page of the errors: shows those that have what is searched for.
import { fillOuterBar } from '../outer-bar.ts';
import { applyTheme } from '../theme.ts';

applyTheme();
fillOuterBar('problems');

const search = document.querySelector<HTMLInputElement>('#search')!;
const found = document.querySelector('#found')!;
const entries = [...document.querySelectorAll<HTMLElement>('.problems > li')];

function show(): void {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const entry of entries) {
    const text = entry.textContent.toLowerCase();
    entry.hidden = !words.every((word) => text.includes(word));
  }
  const count = entries.filter(({ hidden }) => !hidden).length;
  found.textContent = search.value === '' ? '' : `${count} of ${entries.length} errors`;
}

search.closest('label')!.hidden = false;
search.addEventListener('input', show);
// A link to an error leads to it whatever is searched for.
addEventListener('hashchange', () => {
  const entry = document.getElementById(location.hash.slice(1));
  if (!entry?.hidden) return;
  search.value = '';
  show();
  entry.scrollIntoView();
});
// A browser may have kept what was searched for.
show();
