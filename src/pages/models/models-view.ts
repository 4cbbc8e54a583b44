// The view "Models": those of the service, and a file dropped here becomes one of them.
import type { ModelInfo } from '../../client/index.ts';
import { Attempts } from '../attempts.ts';
import { button, el } from '../dom.ts';
import { layersTable, layersText } from '../layers.ts';
import { Listing } from '../listing.ts';
import { allNames, builtInName, shortId, titleOf } from '../model-names.ts';
import { bytesText } from '../numbers.ts';
import type { Page, ViewFactory } from '../page.ts';
import { carryoverOf } from '../service.ts';
import type { SnippetCall } from '../snippets.ts';
import { snippetsPanel } from '../snippets-panel.ts';
import { relativeTime } from '../times.ts';
import { importPanel } from './import-panel.ts';

export const modelsView: ViewFactory = (page) => {
  const { texts } = page;
  const carryover = carryoverOf(page);
  const attempts = new Attempts(page);
  /** Whose layers were shown last, or that was registered last. */
  let shown: string | undefined;
  const listing = new Listing<ModelInfo>({
    attempts,
    label: texts.models.list,
    heads: texts.models.heads,
    numbers: [2, 3, 4, 5],
    texts: texts.models,
    entries: () => carryover.models.list({ signal: attempts.signal }),
    rows: (model) => modelRows({
      page,
      model,
      onShow: () => (shown = refOf(model)),
      onDelete: () => void attempts.run(async () => {
        await carryover.models.delete(model.id, { signal: attempts.signal });
        await listing.refresh();
      }),
    }),
  });
  const refresh = () => attempts.run(() => listing.refresh());
  let registered: SnippetCall | undefined;
  const calls = (): SnippetCall[] => [
    ...(registered ? [registered] : []),
    { method: 'GET', path: '/v1/models' },
    ...(shown === undefined ? [] : [{ method: 'GET', path: `/v1/models/${encodeURIComponent(shown)}` } as const]),
  ];
  void refresh();
  return {
    element: el('section', { class: 'models' }, [
      el('h1', {}, texts.bar.models),
      el('p', { class: 'weak' }, texts.models.intro),
      attempts.element,
      listing.element,
      importPanel(page, attempts, (model, call) => {
        shown = refOf(model);
        registered = call;
        void refresh();
      }),
      snippetsPanel(page, calls),
    ]),
    dispose: () => attempts.dispose(),
  };
};

interface RowOptions {
  readonly page: Page;
  readonly model: ModelInfo;
  readonly onShow: () => void;
  readonly onDelete: () => void;
}

function modelRows({ page: { texts }, model, onShow, onDelete }: RowOptions): HTMLTableRowElement[] {
  const { models } = texts;
  const isBuiltIn = builtInName(model) !== undefined;
  const number = (value: number | undefined) => el('td', { class: 'number' }, value === undefined ? '' : String(value));
  const details = el('tr', { class: 'details', hidden: true }, [el('td', { colspan: models.heads.length })]);
  const toggle = button(layersText(model), () => {
    details.hidden = !details.hidden;
    toggle.setAttribute('aria-expanded', String(!details.hidden));
    if (details.hidden) return;
    details.firstElementChild!.replaceChildren(layersTable(texts, model), el('p', {}, [el('code', { class: 'id' }, model.id)]));
    onShow();
  }, { 'aria-expanded': 'false', class: 'disclosure' });
  const confirmed = () => confirm(models.confirm(titleOf(model))) && onDelete();
  const row = el('tr', {}, [
    el('th', { scope: 'row' }, [
      model.names.length > 0 ? allNames(model) : el('code', {}, shortId(model.id)),
      isBuiltIn ? el('span', { class: 'tag' }, models.builtIn) : undefined,
    ]),
    el('td', {}, [toggle]),
    number(model.D),
    number(model.H),
    number(model.O),
    el('td', { class: 'number' }, bytesText(model.bytes)),
    el('td', {}, [relativeTime(model.created_at)]),
    el('td', {}, [
      el('div', { class: 'actions' }, [
        el('a', { class: 'button', href: `#/try?model=${encodeURIComponent(refOf(model))}`, 'aria-label': `${models.try}: ${titleOf(model)}` }, models.try),
        isBuiltIn ? undefined : button(models.delete, confirmed, { 'aria-label': `${models.delete}: ${titleOf(model)}` }),
      ]),
    ]),
  ]);
  return [row, details];
}

function refOf({ names, id }: ModelInfo): string {
  return names[0] ?? id;
}
