// A model with an embedding in front: it reads a beginning and writes on, in a second future in another way.
import type { Session } from '../../client/index.ts';
import { ALPHABETS } from '../built-in.ts';
import { button, el, field } from '../dom.ts';
import { layersOf, rowsOfEmbedding } from '../layers.ts';
import type { View } from '../page.ts';
import { shortNumber } from '../numbers.ts';
import { carryoverOf } from '../service.ts';
import { SESSION, type SnippetCall } from '../snippets.ts';
import { snippetsPanel } from '../snippets-panel.ts';
import { Alphabet } from './alphabet.ts';
import { Future, KEEP_MAX, TTL_S } from './future.ts';
import type { TryOptions } from './try-options.ts';
import { Writer, type WriterOptions, seedInput, seedOf, temperatureInput, temperatureOf } from './writer.ts';

const PROMPT = 'It is a truth universally acknowledged, that ';
const WRITE = { length: 300, temperature: 0.6, seed: 7 };
/** Steps that the programs to copy take. */
const SNIPPET_STEPS = 5;
const LIKELY_SHOWN = 8;

export function textView(options: TryOptions): View {
  const view = new TextView(options);
  return { element: view.element, dispose: () => undefined };
}

class TextView {
  readonly element: HTMLElement;
  readonly #options: TryOptions;
  readonly #V: number;
  readonly #prompt: HTMLTextAreaElement;
  readonly #length: HTMLInputElement;
  readonly #temperature: HTMLInputElement;
  readonly #seed: HTMLInputElement;
  readonly #alphabet: HTMLInputElement | string;
  readonly #futures = el('div', { class: 'futures' });
  #given: Session | undefined;
  #A: Writer | undefined;
  #B: Writer | undefined;

  constructor(options: TryOptions) {
    const { page, model, session } = options;
    const { texts } = page;
    this.#options = options;
    this.#given = session;
    this.#V = rowsOfEmbedding(model)!;
    const known = model.names.map((name) => ALPHABETS.get(name)).find((characters) => characters !== undefined);
    this.#alphabet = known ?? el('input', { type: 'text', size: 60, spellcheck: 'false' });
    this.#prompt = el('textarea', { rows: 2, cols: 60, spellcheck: 'false' }, known === undefined ? '0' : PROMPT);
    this.#length = el('input', { type: 'number', min: 1, max: 5000, step: 1, value: WRITE.length });
    this.#temperature = temperatureInput(WRITE.temperature);
    this.#seed = seedInput(WRITE.seed);
    const given = el('div', { class: 'panel' }, [
      ...(typeof this.#alphabet === 'string' ? [] : [field(texts.try.alphabet, this.#alphabet), el('p', { class: 'weak' }, texts.try.alphabetHelp(this.#V))]),
      field(texts.try.prompt, this.#prompt),
      el('div', { class: 'row form' }, [
        field(texts.try.length, this.#length),
        field(texts.try.temperature, this.#temperature),
        field(texts.try.seed, this.#seed),
        button(texts.try.write, () => void this.#begin(), { class: 'primary' }),
        el('span', { class: 'weak' }, `${texts.try.temperature}: ${texts.try.temperatureHelp}`),
      ]),
    ]);
    this.element = el('div', {}, [
      el('div', { class: 'beside' }, [given, options.layers]),
      this.#futures,
      snippetsPanel(page, () => this.#calls()),
    ]);
  }

  /** Reads the beginning in a session, and writes behind it. */
  async #begin(): Promise<void> {
    const { attempts } = this.#options;
    const old = [this.#A, this.#B];
    let writer: Writer | undefined;
    await attempts.run(async () => {
      const alphabet = this.#currentAlphabet();
      const tokens = alphabet.tokensOf(this.#prompt.value);
      const isOpened = this.#given !== undefined;
      const session = this.#given ?? (await carryoverOf(this.#options.page).sessions.create({ model: this.#options.model.id, keep: KEEP_MAX, ttl_s: TTL_S, signal: attempts.signal }));
      this.#given = undefined;
      const { y } = await session.sequence(tokens.map((token) => [token]), { outputs: ['h', 'y'], signal: attempts.signal });
      const future = new Future(session, { isEmbedding: true, isOpened, start: { y: y?.data } });
      this.#B = undefined;
      if (y?.data.length !== this.#V) {
        this.#A = undefined;
        this.#futures.replaceChildren(this.#answerOf(y?.data ?? new Float32Array()));
        return;
      }
      const [temperature, seed] = [temperatureOf(this.#temperature), seedOf(this.#seed)];
      writer = new Writer({ ...this.#writerOptions(alphabet), name: 'A', future, temperature, seed, onFork: (fork) => this.#fork(fork) });
      this.#A = writer;
      this.#futures.replaceChildren(writer.card.element);
    });
    await Promise.all([writer?.write(), ...old.map((one) => writer && one?.card.future.end())]);
  }

  #fork(future: Future): void {
    void this.#B?.card.future.end();
    const { temperature, seed } = this.#A!;
    this.#B = new Writer({ ...this.#writerOptions(this.#currentAlphabet()), name: 'B', future, temperature, seed: seed + 1, onFork: undefined });
    this.#futures.replaceChildren(this.#A!.card.element, this.#B.card.element);
  }

  #writerOptions(alphabet: Alphabet): Omit<WriterOptions, 'name' | 'future' | 'temperature' | 'seed' | 'onFork'> {
    const { page, attempts, model } = this.#options;
    const last = layersOf(model).at(-1);
    const isSoftmax = last?.type === 'dense' && last.activation === 'softmax';
    return {
      page,
      attempts,
      alphabet,
      prompt: this.#prompt.value,
      toProbabilities: isSoftmax ? (y) => y : softmax,
      length: () => Math.max(1, Math.trunc(Number(this.#length.value)) || 1),
    };
  }

  #currentAlphabet(): Alphabet {
    const text = typeof this.#alphabet === 'string' ? this.#alphabet : this.#alphabet.value;
    return new Alphabet(text, this.#V, this.#options.page.texts);
  }

  /** What a model answers that says nothing of its next input: its largest numbers. */
  #answerOf(y: Float32Array): HTMLElement {
    const { texts } = this.#options.page;
    const largest = Array.from(y, (value, k) => [k, value] as const).toSorted(([, a], [, b]) => b - a).slice(0, LIKELY_SHOWN);
    return el('div', { class: 'panel' }, [
      el('p', {}, texts.try.noProbabilities(this.#V)),
      el('table', {}, [el('tbody', {}, largest.map(([k, value]) =>
        el('tr', {}, [el('th', { scope: 'row' }, texts.try.outputName(k)), el('td', { class: 'number' }, shortNumber(value))])))]),
    ]);
  }

  /** The beginning and the first characters written after it, in a session that is deleted at the end. */
  #calls(): SnippetCall[] {
    const tokens = this.#tokensOfPrompt();
    const steps = this.#A?.card.future.steps.slice(0, SNIPPET_STEPS) ?? [];
    return [
      { method: 'POST', path: '/v1/sessions', body: { model: this.#options.ref }, isSession: true },
      { method: 'POST', path: '/v1/sequence', body: { session: SESSION, x: tokens.map((token) => [token]), outputs: ['y'] } },
      ...steps.map(({ x }) => ({ method: 'POST', path: '/v1/step', body: { session: SESSION, x } }) as const),
      { method: 'DELETE', path: `/v1/sessions/${SESSION}` },
    ];
  }

  #tokensOfPrompt(): number[] {
    try {
      return this.#currentAlphabet().tokensOf(this.#prompt.value);
    } catch {
      return [0];
    }
  }
}

function softmax(y: Float32Array): Float32Array {
  const max = Math.max(...y);
  const powers = y.map((value) => Math.exp(value - max));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}
