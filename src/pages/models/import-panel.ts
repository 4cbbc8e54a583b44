// A model file becomes a model of the service: what was understood of it, or what the service has to be told.
import { CarryoverError, type ModelInfo } from '../../client/index.ts';
import { type Attempts, isAbort } from '../attempts.ts';
import { el, field } from '../dom.ts';
import { onFileDrop } from '../file-drop.ts';
import { failureNote } from '../failure.ts';
import { layersTable } from '../layers.ts';
import { titleOf } from '../model-names.ts';
import type { Page } from '../page.ts';
import { carryoverOf } from '../service.ts';
import type { SnippetCall } from '../snippets.ts';
import type { Texts } from '../texts/en.ts';

const FILE_NAMES = '.safetensors,.onnx,.keras,.h5,.hdf5,.pt,.pth';

/** Codes of errors that a description of the layers may mend. */
const ASKING: readonly string[] = ['activation_unconfirmed', 'layers_unconfirmed', 'unknown_tensors', 'invalid_request'];

/** @param onRegister called with the model that was registered, and the call that did it */
export function importPanel(page: Page, attempts: Attempts, onRegister: (model: ModelInfo, call: SnippetCall) => void): HTMLElement {
  const { models: texts } = page.texts;
  let chosen: File | undefined;
  const file = el('input', { type: 'file', accept: FILE_NAMES }, [], { change: () => file.files?.[0] && take(file.files[0]) });
  const name = el('input', { type: 'text', size: 24, maxlength: 64, spellcheck: 'false', autocomplete: 'off' });
  const description = describingFields(texts);
  const register = el('button', { class: 'primary', disabled: true }, texts.register);
  const outcome = el('div', { 'aria-live': 'polite' });

  const take = (given: File) => {
    chosen = given;
    name.value = modelName(given.name);
    description.reset();
    register.disabled = false;
    void send();
  };
  const send = async () => {
    if (!chosen) return;
    register.disabled = true;
    outcome.replaceChildren(texts.reading);
    try {
      const options = { ...(name.value !== '' && { name: name.value }), ...description.options() };
      const model = await carryoverOf(page).models.import(chosen, { ...options, signal: attempts.signal });
      description.element.hidden = true;
      outcome.replaceChildren(understood(page.texts, model, options.name ?? titleOf(model)));
      onRegister(model, { method: 'POST', path: `/v1/models?${new URLSearchParams(options)}`, file: chosen.name });
    } catch (error) {
      if (isAbort(error)) return;
      const asked = error instanceof CarryoverError && ASKING.includes(error.code) ? error.message : undefined;
      outcome.replaceChildren(...(asked === undefined ? [] : [el('h3', {}, texts.missing)]), failureNote(page, error));
      if (asked !== undefined) description.askFor(asked);
    }
    register.disabled = false;
  };

  onFileDrop(attempts.signal, (dropped, files) => {
    file.files = files;
    take(dropped);
  });
  return el('form', { class: 'panel' }, [
    el('h2', {}, texts.import),
    el('p', { class: 'weak' }, texts.importExplanation),
    el('div', { class: 'row form' }, [field(texts.file, file), field(texts.name, name), register]),
    outcome,
    description.element,
  ], {
    submit: (event) => {
      event.preventDefault();
      void send();
    },
  });
}

interface DescribingFields {
  readonly element: HTMLElement;
  readonly options: () => { activation?: 'tanh' | 'relu'; readout?: string; layers?: string };
  readonly askFor: (message: string) => void;
  readonly reset: () => void;
}

/** What the names in a file may not tell. */
function describingFields(texts: Texts['models']): DescribingFields {
  const activation = el('select', {}, ['', 'tanh', 'relu'].map((value) => el('option', { value }, value === '' ? texts.asTheFileSays : value)));
  const readout = el('input', { type: 'text', size: 20, spellcheck: 'false' });
  const layers = el('textarea', { rows: 3, cols: 60, spellcheck: 'false' });
  const element = el('div', { hidden: true }, [
    el('p', {}, texts.missingExplanation),
    el('div', { class: 'row form' }, [field(texts.activation, activation), field(texts.readout, readout)]),
    field(texts.layers, layers),
  ]);
  return {
    element,
    options: () => ({
      ...(activation.value !== '' && { activation: activation.value as 'tanh' | 'relu' }),
      ...(readout.value.trim() !== '' && { readout: readout.value.trim() }),
      ...(layers.value.trim() !== '' && { layers: layers.value.trim() }),
    }),
    askFor: (message) => {
      element.hidden = false;
      const suggested = /\?layers=(\[.*?\])(?= to the address)/.exec(message)?.[1];
      if (layers.value === '' && suggested !== undefined) layers.value = suggested;
    },
    reset: () => {
      element.hidden = true;
      for (const control of [activation, readout, layers]) control.value = '';
    },
  };
}

/** Layers, tensors and notes of a model that was read from a file. @param title the one of its names that it was given now */
function understood(texts: Texts, model: ModelInfo, title: string): HTMLElement {
  const { models } = texts;
  const tensors = Object.entries(model.tensors ?? {});
  return el('div', {}, [
    el('h3', {}, models.understood(title)),
    layersTable(texts, model),
    el('h4', {}, models.tensors),
    el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': models.tensors }, [
      el('table', {}, [
        el('thead', {}, [el('tr', {}, models.tensorHeads.map((head) => el('th', { scope: 'col' }, head)))]),
        el('tbody', {}, tensors.map(([tensor, origin]) =>
          el('tr', {}, [el('th', { scope: 'row' }, [el('code', {}, tensor)]), el('td', {}, [el('code', {}, origin)])]))),
      ]),
    ]),
    ...(model.notes && model.notes.length > 0 ? [el('h4', {}, models.notes), el('ul', {}, model.notes.map((note) => el('li', {}, note)))] : []),
    el('p', {}, [el('a', { class: 'button', href: `#/try?model=${encodeURIComponent(model.names.includes(title) ? title : model.id)}` }, models.tryIt)]),
  ]);
}

/** A name that the service accepts, made of that of the file. */
function modelName(file: string): string {
  return file.replace(/\.[^.]*$/, '').replaceAll(/[^\w.-]+/g, '-').replaceAll(/^[^\w]+|-+$/g, '').slice(0, 64);
}
