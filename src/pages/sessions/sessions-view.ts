// The view "Sessions": those that the service keeps, and one of them with its state.
import type { SessionInfo } from '../../client/index.ts';
import { Attempts } from '../attempts.ts';
import { button, el, liveText } from '../dom.ts';
import { Listing } from '../listing.ts';
import { shortId } from '../model-names.ts';
import type { Page, View, ViewFactory } from '../page.ts';
import { carryoverOf } from '../service.ts';
import type { SnippetCall } from '../snippets.ts';
import { snippetsPanel } from '../snippets-panel.ts';
import { relativeTime } from '../times.ts';
import { OpenedSession } from './opened-session.ts';

/** Parameters: `id` of a session to open. */
export const sessionsView: ViewFactory = (page, parameters) => {
  const view = new SessionsView(page);
  void view.begin(parameters.get('id'));
  return view;
};

/** Sessions that are read to be sorted by their age. */
const SORTED_MAX = 1000;

class SessionsView implements View {
  readonly element: HTMLElement;
  readonly #page: Page;
  readonly #attempts: Attempts;
  readonly #listing: Listing<SessionInfo>;
  readonly #opened = el('div');
  readonly #said = liveText();
  readonly #many: HTMLElement;
  /** What models are called, by their ids. */
  readonly #names = new Map<string, string>();
  #id: string | undefined;

  constructor(page: Page) {
    const { texts } = page;
    this.#page = page;
    this.#attempts = new Attempts(page);
    this.#many = el('p', { class: 'weak', hidden: true }, texts.sessions.manySessions(SORTED_MAX));
    this.#listing = new Listing<SessionInfo>({
      attempts: this.#attempts,
      label: texts.sessions.list,
      heads: texts.sessions.heads,
      numbers: [2, 3, 4],
      texts: texts.sessions,
      entries: () => this.#newestFirst(),
      rows: (session) => [this.#row(session)],
    });
    this.element = el('section', { class: 'sessions' }, [
      el('h1', {}, texts.bar.sessions),
      el('p', { class: 'weak' }, texts.sessions.intro),
      el('p', {}, [button(texts.sessions.refresh, () => void this.#attempts.run(() => this.#refresh()))]),
      this.#attempts.element,
      this.#said,
      this.#opened,
      this.#many,
      this.#listing.element,
      snippetsPanel(page, () => this.#calls()),
    ]);
  }

  async begin(id: string | null): Promise<void> {
    await this.#attempts.run(async () => {
      if (id !== null) await this.#open(id);
      await this.#refresh();
    });
  }

  dispose(): void {
    this.#attempts.dispose();
  }

  async #refresh(): Promise<void> {
    // A service may allow its sessions to be seen, and not its models: they are then called by their ids.
    if (this.#names.size === 0) await this.#readNames().catch(() => undefined);
    await this.#listing.refresh();
  }

  /** The service lists them by their ids; of very many only so many are read before any is shown. */
  async *#newestFirst(): AsyncGenerator<SessionInfo> {
    const listed = carryoverOf(this.#page).sessions.list({ signal: this.#attempts.signal })[Symbol.asyncIterator]();
    const read: SessionInfo[] = [];
    let next = await listed.next();
    for (; next.done !== true && read.length < SORTED_MAX; next = await listed.next()) read.push(next.value);
    this.#many.hidden = next.done === true;
    yield* read.toSorted((a, b) => b.created_at.localeCompare(a.created_at));
    for (; next.done !== true; next = await listed.next()) yield next.value;
  }

  async #readNames(): Promise<void> {
    const { signal } = this.#attempts;
    for await (const { id, names } of carryoverOf(this.#page).models.list({ signal })) if (names[0] !== undefined) this.#names.set(id, names[0]);
  }

  #row(session: SessionInfo): HTMLTableRowElement {
    const { sessions: texts } = this.#page.texts;
    const number = (value: number) => el('td', { class: 'number' }, String(value));
    return el('tr', {}, [
      el('th', { scope: 'row' }, [el('code', {}, session.id)]),
      el('td', {}, this.#nameOf(session.model)),
      number(session.t),
      number(session.N),
      number(session.H),
      el('td', {}, [relativeTime(session.created_at)]),
      el('td', {}, [relativeTime(session.expires_at)]),
      el('td', {}, [button(texts.open, () => void this.#attempts.run(() => this.#open(session.id)), { 'aria-label': `${texts.open}: ${session.id}` })]),
    ]);
  }

  #nameOf(model: string): string {
    return this.#names.get(model) ?? shortId(model);
  }

  async #open(id: string): Promise<void> {
    const { signal } = this.#attempts;
    const session = await carryoverOf(this.#page).sessions.open(id, { signal });
    const opened = new OpenedSession({
      page: this.#page,
      attempts: this.#attempts,
      session,
      onFork: (fork) => void this.#attempts.run(async () => {
        this.#said.textContent = this.#page.texts.sessions.forked(fork.id);
        await this.#open(fork.id);
        await this.#refresh();
      }),
      onDelete: () => void this.#attempts.run(async () => {
        this.#said.textContent = this.#page.texts.sessions.deleted(id);
        this.#opened.replaceChildren();
        this.#id = undefined;
        await this.#refresh();
      }),
      onRewind: () => void this.#attempts.run(() => this.#refresh()),
    });
    await opened.read();
    this.#id = id;
    this.#opened.replaceChildren(opened.element);
    opened.element.focus();
  }

  #calls(): SnippetCall[] {
    return [
      { method: 'GET', path: '/v1/sessions' },
      ...(this.#id === undefined ? [] : callsOf(this.#id)),
    ];
  }
}

/** Reads a session, and forks it; the fork is deleted. */
function callsOf(id: string): SnippetCall[] {
  return [
    { method: 'GET', path: `/v1/sessions/${id}` },
    { method: 'POST', path: `/v1/sessions/${id}/fork`, isSession: true },
    { method: 'DELETE', path: '/v1/sessions/$session' },
  ];
}
