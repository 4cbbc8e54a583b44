// Asks for the API key of a service that has keys.
import { button, el, field } from './dom.ts';
import { storedForTab } from './stored.ts';
import type { Texts } from './texts/en.ts';

const NAME = 'api-key';

/** Undefined if none was entered in this tab. */
export function currentApiKey(): string | undefined {
  return storedForTab.read(NAME);
}

/** @param onChange called when another key, or none, is to be used */
export function askForApiKey({ key: texts }: Texts, onChange: () => void): void {
  const input = el('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', size: 40 });
  const choose = (key: string | undefined) => {
    storedForTab.write(NAME, key);
    dialog.close();
    onChange();
  };
  const form = el(
    'form',
    {},
    [
      el('h2', {}, texts.title),
      el('p', {}, texts.explanation),
      field(texts.label, input),
      el('p', { class: 'row' }, [
        el('button', { class: 'primary' }, texts.save),
        button(texts.forget, () => choose(undefined)),
        button(texts.cancel, () => dialog.close()),
      ]),
    ],
    {
      submit: (event) => {
        event.preventDefault();
        if (input.value.trim() !== '') choose(input.value.trim());
      },
    },
  );
  const dialog = el('dialog', { 'aria-label': texts.title }, [form], { close: () => dialog.remove() });
  document.body.append(dialog);
  dialog.showModal();
}
