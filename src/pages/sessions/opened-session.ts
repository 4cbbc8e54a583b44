// One session: its state as pictures, and what can be done with it.
import type { CellStates, Session, SessionState, States, Tensor } from '../../client/index.ts';
import type { Attempts } from '../attempts.ts';
import { button, el, field } from '../dom.ts';
import { Heatmap } from '../heatmap.ts';
import type { Page } from '../page.ts';
import { relativeTime } from '../times.ts';

export interface OpenedSessionOptions {
  readonly page: Page;
  readonly attempts: Attempts;
  readonly session: Session;
  readonly onFork: (fork: Session) => void;
  readonly onDelete: () => void;
  readonly onRewind: () => void;
}

/** Pixels; a small screen has less. */
const PICTURE = { width: 640, height: 320, cellHeightMin: 14 };
/** What the panel around a picture takes of the screen. */
const MARGINS = 64;

export class OpenedSession {
  readonly element: HTMLElement;
  readonly #options: OpenedSessionOptions;
  readonly #title = el('h3');
  readonly #pictures = el('div', { class: 'row' });
  readonly #facts = el('dl', { class: 'facts' });
  readonly #kept = el('select');
  readonly #rewind: HTMLButtonElement;
  readonly #rewindRow: HTMLElement;
  readonly #nothingKept: HTMLElement;

  constructor(options: OpenedSessionOptions) {
    const { page: { texts }, attempts, session, onFork, onDelete, onRewind } = options;
    const { sessions } = texts;
    const { signal } = attempts;
    this.#options = options;
    this.#nothingKept = el('p', { class: 'weak' }, sessions.nothingKept);
    this.#rewind = button(sessions.rewind, () => void attempts.run(async () => {
      await session.rewind(Number(this.#kept.value), { signal });
      await this.read();
      onRewind();
    }));
    this.#rewindRow = el('div', { class: 'row form' }, [field(sessions.keptSteps, this.#kept), this.#rewind]);
    const remove = async () => {
      await session.delete({ signal });
      onDelete();
    };
    this.element = el('section', { class: 'panel', tabindex: -1, 'aria-label': sessions.opened(session.id) }, [
      el('h2', {}, [sessions.opened(''), el('code', {}, session.id)]),
      this.#title,
      this.#pictures,
      this.#facts,
      this.#rewindRow,
      this.#nothingKept,
      el('p', { class: 'row' }, [
        // The page steps one row at a time.
        session.info.N === 1 ? el('a', { class: 'button', href: `#/try?session=${encodeURIComponent(session.id)}` }, sessions.continue) : undefined,
        button(sessions.fork, () => void attempts.run(async () => onFork(await session.fork({ signal })))),
        button(sessions.delete, () => void (confirm(sessions.confirm(session.id)) && attempts.run(remove))),
      ]),
    ]);
  }

  /** Shows the session as it is now. @throws CarryoverError */
  async read(): Promise<void> {
    const state = await this.#options.session.read({ signal: this.#options.attempts.signal });
    const { texts: { sessions } } = this.#options.page;
    this.#title.textContent = sessions.state(state.t);
    this.#pictures.replaceChildren(...this.#heatmapsOf('h', state.h), ...(state.c ? this.#heatmapsOf('c', state.c) : []));
    this.#facts.replaceChildren(...this.#factsOf(state));
    const kept = [...new Set(state.kept)].toReversed();
    this.#kept.replaceChildren(...kept.map((t) => el('option', { value: t }, `t = ${t}`)));
    this.#rewindRow.hidden = kept.length === 0;
    this.#nothingKept.hidden = kept.length > 0;
  }

  #heatmapsOf(name: string, states: States | CellStates): HTMLElement[] {
    const list: readonly (Tensor | null)[] = Array.isArray(states) ? states : [states];
    return list.flatMap((state, k) => {
      if (!state) return [];
      const [N = 1, H = state.data.length] = state.shape;
      const width = Math.min(PICTURE.width, document.documentElement.clientWidth - MARGINS);
      const heatmap = new Heatmap({ ...PICTURE, width, name: `${name}${list.length > 1 ? `[${k}]` : ''} (N, H) = (${N}, ${H})`, texts: this.#options.page.texts });
      heatmap.draw(state.data, N, H);
      return [heatmap.element];
    });
  }

  #factsOf({ version, digest, keep, ttl_s, expires_at }: SessionState): HTMLElement[] {
    const { facts } = this.#options.page.texts.sessions;
    const all: [string, string | HTMLElement][] = [
      [facts.version, String(version)],
      [facts.digest, el('code', {}, digest)],
      [facts.keep, String(keep)],
      [facts.ttl, facts.seconds(ttl_s)],
      [facts.expires, relativeTime(expires_at)],
    ];
    return all.map(([term, value]) => el('div', {}, [el('dt', {}, term), el('dd', {}, [value])]));
  }
}
