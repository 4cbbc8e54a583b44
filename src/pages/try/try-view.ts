// The view "Try a model": one of the models of the service, its layers, and what can be done with such a model.
import type { ModelInfo, Session } from '../../client/index.ts';
import { Attempts } from '../attempts.ts';
import { el, field } from '../dom.ts';
import { layersTable, rowsOfEmbedding } from '../layers.ts';
import { allNames, builtInName } from '../model-names.ts';
import { bytesText } from '../numbers.ts';
import type { Page, View, ViewFactory } from '../page.ts';
import { carryoverOf } from '../service.ts';
import type { Texts } from '../texts/en.ts';
import { seriesView } from './series-view.ts';
import { textView } from './text-view.ts';

/** Parameters: `model`, a name or an id; or `session`, the id of one to go on with. */
export const tryView: ViewFactory = (page, parameters) => {
  const view = new TryView(page);
  void view.begin(parameters);
  return view;
};

/** Models to choose from, at most; others are reached from the list of models. */
const MODELS_MAX = 500;

class TryView implements View {
  readonly element: HTMLElement;
  readonly #page: Page;
  readonly #attempts: Attempts;
  readonly #select: HTMLSelectElement;
  readonly #model = el('div');
  #models: ModelInfo[] = [];
  /** Of the model that is shown. */
  #view: View | undefined;
  #viewAttempts: Attempts | undefined;

  constructor(page: Page) {
    const { texts } = page;
    this.#page = page;
    this.#attempts = new Attempts(page);
    this.#select = el('select', {}, [], { change: () => this.#choose(this.#select.value) });
    this.element = el('section', { class: 'try' }, [
      el('h1', {}, texts.bar.try),
      el('p', { class: 'weak' }, texts.try.intro),
      field(texts.try.model, this.#select),
      this.#attempts.element,
      this.#model,
    ]);
  }

  async begin(parameters: URLSearchParams): Promise<void> {
    await this.#attempts.run(async () => {
      const carryover = carryoverOf(this.#page);
      const { signal } = this.#attempts;
      const id = parameters.get('session');
      const session = id === null ? undefined : await carryover.sessions.open(id, { signal });
      const ref = session?.info.model ?? parameters.get('model');
      for await (const model of carryover.models.list({ signal })) if (this.#models.push(model) >= MODELS_MAX) break;
      let chosen = ref === null ? this.#models[0] : this.#models.find(({ id, names }) => id === ref || names.includes(ref));
      // Not among the first, or of a session whose model has no name and is not listed.
      if (!chosen && ref !== null) this.#models.push((chosen = await carryover.models.get(ref, { signal })));
      this.#select.replaceChildren(...this.#models.map((model) => el('option', { value: model.id, selected: model === chosen }, allNames(model))));
      if (chosen) this.#show(chosen, session);
    });
  }

  dispose(): void {
    this.#attempts.dispose();
    this.#viewAttempts?.dispose();
    this.#view?.dispose();
  }

  #choose(id: string): void {
    const model = this.#models.find((one) => one.id === id)!;
    history.replaceState(null, '', `#/try?model=${encodeURIComponent(refOf(model))}`);
    this.#show(model, undefined);
  }

  #show(model: ModelInfo, session: Session | undefined): void {
    const { texts } = this.#page;
    const { D, H, O, bytes } = model;
    this.#viewAttempts?.dispose();
    this.#view?.dispose();
    const attempts = new Attempts(this.#page);
    this.#viewAttempts = attempts;
    const layers = el('details', { open: true }, [el('summary', {}, texts.layers.title), layersTable(texts, model)]);
    const options = { page: this.#page, attempts, model, layers, ref: refOf(model), session };
    this.#view = rowsOfEmbedding(model) === undefined ? seriesView(options) : textView(options);
    const about = aboutOf(texts, model);
    this.#model.replaceChildren(
      el('p', {}, [about === undefined ? '' : `${about} `, el('span', { class: 'weak' }, `${texts.try.sizes(D, H, O)}, ${bytesText(bytes)}`)]),
      ...(session ? [el('p', { role: 'status' }, texts.try.restored(session.id, session.t))] : []),
      attempts.element,
      this.#view.element,
    );
  }
}

/** What a built-in model does, in a sentence. */
function aboutOf({ try: { about } }: Texts, model: ModelInfo): string | undefined {
  const name = builtInName(model);
  return name === undefined ? undefined : about[name];
}

/** As a program calls it. */
function refOf({ names, id }: ModelInfo): string {
  return names[0] ?? id;
}
