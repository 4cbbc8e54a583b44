// The view "understand": one step of a recurrent network as an equation of matrices, and the network over time. All numbers are
// what the service has computed.
import { el } from '../dom.ts';
import { failureNote } from '../failure.ts';
import type { Page, View, ViewFactory } from '../page.ts';
import { snippetsPanel } from '../snippets-panel.ts';
import { type Choices, Controls } from './controls.ts';
import type { OnEdit } from './equation.ts';
import { formula, prose } from './names.ts';
import { randomNetwork } from './network.ts';
import type { Picture } from './picture.ts';
import { Player } from './player.ts';
import { callsOf } from './calls.ts';
import { Transport } from './transport.ts';
import { Unrolled } from './unrolled.ts';

/** Steps that are there when the view is opened: enough to see the states change. */
const FIRST_STEPS = 8;
/** Another network takes as many steps as the last one, up to here. */
const STEPS_AGAIN_MAX = 64;
const FIRST_CHOICES: Choices = { cell: 'rnn', N: 2, D: 3, H: 4, seed: 1, series: 'sine' };

export const understandView: ViewFactory = (page) => new UnderstandView(page);

/** What is shown next: the index of a step, and whether the parts are made anew, as for another network. */
interface Made {
  readonly index: number;
  readonly isOther?: boolean;
}

type Work = (signal: AbortSignal) => Promise<Made | undefined>;

const AFTER_OTHERS = { inPlaceOfOthers: false };
const IN_PLACE_OF_OTHERS = { inPlaceOfOthers: true };

/** Until what can be chosen has been painted. */
async function firstFrame(): Promise<void> {
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
}

class UnderstandView implements View {
  readonly element: HTMLElement;
  readonly #page: Page;
  readonly #unrolled: Unrolled;
  readonly #player: Player;
  readonly #controls: Controls;
  readonly #intro = el('div', { class: 'intro' });
  readonly #pictureHolder = el('div', { class: 'picture' });
  readonly #timeHolder = el('div', {});
  readonly #failure = el('div', { class: 'failure' });
  readonly #transport: Transport;
  #choices = FIRST_CHOICES;
  #index = FIRST_STEPS - 1;
  /** Of the runs that belong to the network that was chosen last. */
  #control = new AbortController();
  #lastRun: Promise<void> | undefined;
  /** The clicks that the last run answers, if it makes steps. */
  #wantedSteps: { count: number } | undefined;
  readonly #end = new AbortController();
  readonly #firstFrame = firstFrame();
  #picture: Picture | undefined;
  #isOther = true;
  /** Whether the network that was chosen last has been computed: from then on its steps are continued and changed. */
  #isBegun = false;

  constructor(page: Page) {
    this.#page = page;
    const texts = page.texts.understand;
    this.#unrolled = new Unrolled(async (...steps) => (await this.#loadComputed()).computeSteps(page, ...steps), this.#network(), FIRST_CHOICES.seed);
    this.#controls = new Controls(page, FIRST_CHOICES, (choices, changed) => void this.#choose(choices, changed));
    this.#player = new Player({
      unrolled: this.#unrolled,
      onSteps: () => this.#show(this.#unrolled.steps.length - 1),
      onEnd: (error) => {
        this.#showPlaying();
        this.#showFailure(error);
      },
    });
    this.#transport = new Transport({
      texts: page.texts,
      onReset: () => void this.#reset(),
      onStep: () => this.#step(),
      onPlay: () => this.#togglePlay(),
      onSpeed: (stepsPerSecond) => this.#player.isPlaying && this.#player.play(stepsPerSecond),
    });
    this.element = el('section', { class: 'understand' }, [
      el('h1', {}, texts.title),
      this.#intro,
      this.#controls.element,
      this.#failure,
      this.#pictureHolder,
      el('h2', {}, texts.time.title),
      el('p', { class: 'lead' }, prose(texts.time.explanation)),
      this.#timeHolder,
      this.#transport.element,
      snippetsPanel(page, () => callsOf(this.#unrolled, this.#index)),
    ]);
    this.#showIntro();
    this.#open();
  }

  dispose(): void {
    this.#control.abort();
    this.#end.abort();
    this.#player.pause();
    this.#picture?.dispose();
  }

  /** Behind the first frame, which needs neither the client of the service nor pictures: they are most of what the page loads. */
  async #loadComputed() {
    await this.#firstFrame;
    return import('./computed.ts');
  }

  #network() {
    return randomNetwork(this.#choices.cell, this.#choices, this.#choices.seed);
  }

  #open(): void {
    void this.#run(() => Promise.resolve(undefined), IN_PLACE_OF_OTHERS);
  }

  /** The network as it was chosen, with as many steps as there were. */
  async #beginChosen(signal: AbortSignal): Promise<Made> {
    // It is done in place of the steps that were asked for; a click from now on is a step behind it.
    this.#wantedSteps = undefined;
    const { length } = this.#unrolled.steps;
    const count = length === 0 ? FIRST_STEPS : Math.min(STEPS_AGAIN_MAX, length);
    await this.#unrolled.begin(this.#network(), count, signal);
    this.#isBegun = true;
    return { index: Math.min(this.#index, count - 1), isOther: true };
  }

  /**
   * Does the work after all that was asked for before it, for it continues what that makes, and shows what has been made. Where
   * the network that was chosen is not there, as the call for it has failed, the work is to begin with it.
   *
   * @param options whether another network was chosen: it ends all that was asked for before
   */
  #run(work: Work, { inPlaceOfOthers } = AFTER_OTHERS): Promise<void> {
    this.#player.pause();
    this.#showPlaying();
    this.#wantedSteps = undefined;
    if (inPlaceOfOthers) {
      this.#isBegun = false;
      this.#control.abort();
      this.#control = new AbortController();
    }
    this.#lastRun = this.#runAfter(inPlaceOfOthers ? undefined : this.#lastRun, work, this.#control.signal);
    return this.#lastRun;
  }

  /** Does not reject. */
  async #runAfter(before: Promise<void> | undefined, work: Work, signal: AbortSignal): Promise<void> {
    try {
      await before;
      signal.throwIfAborted();
      const made = this.#isBegun ? await work(signal) : await this.#beginChosen(signal);
      const { Picture } = await this.#loadComputed();
      signal.throwIfAborted();
      this.#showFailure(undefined);
      if (!this.#picture) this.#place(new Picture({ page: this.#page, onEdit: this.#edit, onChoose: (index) => this.#choosePast(index) }));
      this.#isOther ||= made?.isOther === true;
      if (made) this.#show(made.index);
    } catch (error) {
      if (!signal.aborted) this.#showFailure(error);
      return;
    }
    // The next run does not wait for it.
    void this.#addCurve();
  }

  /** Another attempt is made after the next run if it fails. */
  async #addCurve(): Promise<void> {
    const { signal } = this.#end;
    try {
      await this.#picture!.addCurve(signal);
    } catch (error) {
      if (!signal.aborted) this.#showFailure(error);
    }
  }

  #place(picture: Picture): void {
    this.#picture = picture;
    this.#pictureHolder.replaceChildren(picture.element);
    this.#timeHolder.replaceChildren(picture.timeElement);
  }

  #choose(choices: Choices, changed: keyof Choices): Promise<void> {
    this.#choices = choices;
    this.#unrolled.series = choices.series;
    this.#unrolled.seed = choices.seed;
    this.#showIntro();
    if (changed !== 'series' && changed !== 'seed') return this.#run(() => Promise.resolve(undefined), IN_PLACE_OF_OTHERS);
    return this.#run(async (signal) => {
      if (changed === 'seed') await this.#unrolled.reweigh(this.#network(), signal);
      else if (choices.series === 'same') {
        // What is to be repeated is the input that is shown, perhaps one that was typed.
        this.#unrolled.dropAhead();
        return undefined;
      } else await this.#unrolled.begin(this.#unrolled.network, Math.min(STEPS_AGAIN_MAX, this.#unrolled.steps.length), signal);
      return { index: Math.min(this.#index, this.#unrolled.steps.length - 1), isOther: true };
    });
  }

  #reset(): Promise<void> {
    return this.#run(async (signal) => {
      await this.#unrolled.begin(this.#unrolled.network, 1, signal);
      return { index: 0 };
    });
  }

  /** A click while the last one is still answered is one more step. */
  #step(): void {
    if (this.#wantedSteps) {
      this.#wantedSteps.count++;
      return;
    }
    const wanted = { count: 1 };
    void this.#run(async (signal) => {
      try {
        for (; wanted.count > 0; wanted.count--) {
          if (this.#unrolled.aheadCount === 0) await this.#unrolled.fetch(1, signal);
          this.#unrolled.take();
        }
      } catch (error) {
        // Some of them may have been made.
        if (!signal.aborted) this.#show(this.#unrolled.steps.length - 1);
        throw error;
      } finally {
        if (this.#wantedSteps === wanted) this.#wantedSteps = undefined;
      }
      return { index: this.#unrolled.steps.length - 1 };
    });
    this.#wantedSteps = wanted;
  }

  #togglePlay(): void {
    if (this.#player.isPlaying) {
      this.#player.pause();
      return this.#showPlaying();
    }
    void this.#playAfterOthers();
  }

  async #playAfterOthers(): Promise<void> {
    const run = this.#run(() => Promise.resolve(undefined));
    await run;
    // Something else may have been asked for meanwhile.
    if (this.#lastRun !== run || !this.#isBegun || this.#end.signal.aborted) return;
    this.#player.play(this.#transport.stepsPerSecond);
    this.#showPlaying();
  }

  readonly #edit: OnEdit = (tensor, place, value) => {
    const shown = this.#index;
    void this.#run(async (signal) => {
      const index = Math.min(shown, this.#unrolled.steps.length - 1);
      return { index: await this.#unrolled.edit(index, tensor, place, value, signal) };
    });
  };

  #choosePast(index: number): void {
    this.#player.pause();
    this.#showPlaying();
    this.#show(index);
  }

  #show(index: number): void {
    this.#index = index;
    const { network, steps } = this.#unrolled;
    if (!this.#picture || !steps[index]) return;
    if (this.#isOther) this.#picture.build({ network, steps, index });
    else this.#picture.draw({ network, steps, index });
    this.#isOther = false;
    this.#transport.showPosition(index + 1, steps.length);
  }

  #showIntro(): void {
    const { name, explanation, formulas } = this.#page.texts.understand.cells[this.#choices.cell];
    this.#intro.replaceChildren(el('p', { class: 'lead' }, prose(explanation)), el('div', { class: 'formulas', role: 'group', 'aria-label': name }, formulas.map((text) => el('div', {}, [formula(text)]))));
  }

  #showPlaying(): void {
    this.#transport.showPlaying(this.#player.isPlaying);
  }

  #showFailure(error: unknown): void {
    this.#failure.replaceChildren(...(error === undefined ? [] : [failureNote(this.#page, error)]));
  }
}
