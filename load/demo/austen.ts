// npm run demo -- austen: a model of characters writes a paragraph, and says how well it knows the novel.
//
// The model has read Pride and Prejudice but for its last twentieth: from the characters so far it gives the
// probabilities of the next one. The service keeps its states, h and c of two LSTM layers, in a session, and answers
// each character with probabilities; the client draws the next character and sends it.
import type { Carryover, CellStates, States, Tensor } from '../../src/client/index.ts';
import { maxAbsError, maxError } from './compare.ts';
import { readJson, readTensors, readText } from './data.ts';
import { DemoError } from './demo-error.ts';
import type { Demo, Options, Outcome } from './demo-type.ts';
import { formatError, formatFigures } from './figures.ts';
import { Sampler } from '../../src/cli/generate/sampler.ts';
import { formatClaims } from './proof.ts';
import { strong, weak } from './style.ts';
import { TextColumn } from './text-column.ts';

export const austen: Demo = {
  name: 'austen',
  summary: "a paragraph in Jane Austen's manner (LSTM)",
  title: "A paragraph in Jane Austen's manner, drawn character by character",
  options: ['seed', 'characters', 'temperature', 'prompt'],
  prepare,
};

/** Largest differences to torch that float32 explains; that of a cell state, which may be large, is relative. */
const ERROR_MAX = { bitsPerCharacter: 1e-6, probability: 1e-6, state: 5e-6 };
/** torch's figure is of windows of so many characters; see bitsPerCharacter(). */
const WINDOW = 2_000;

interface Description {
  /** Character k is row k of the embedding, and column k of the output. */
  readonly alphabet: readonly string[];
  readonly held_out_bits_per_character: number;
}

interface Writing {
  /** Characters that the model reads before it writes. */
  readonly prompt: string;
  readonly seed: number;
  readonly characters: number;
  readonly temperature: number;
}

function prepare(options: Options) {
  const description = readJson('austen.json') as Description;
  const writing = readWriting(options);
  tokensOf(writing.prompt, description.alphabet);
  return (carryover: Carryover) => run(carryover, writing, description);
}

async function run(carryover: Carryover, writing: Writing, description: Description): Promise<Outcome> {
  const { alphabet, held_out_bits_per_character: torchBits } = description;
  const heldOut = tokensOf(readText('austen-held-out.txt'), alphabet);

  const written = await write(carryover, writing, alphabet);
  const bits = await bitsPerCharacter(carryover, heldOut);
  const errors = await errorsOf(carryover, heldOut);
  const isAsGood = Math.abs(bits - torchBits) <= ERROR_MAX.bitsPerCharacter;
  const isExact = errors.probability <= ERROR_MAX.probability && errors.state <= ERROR_MAX.state;
  console.log(`${formatFigures(`The last ${heldOut.length.toLocaleString('en')} characters of the novel, not trained on`, [
    ['bits per character', bits, torchBits],
  ], 6)}

  largest difference to torch in ${errors.characters} steps: ${formatError(errors.probability, ERROR_MAX.probability)} of a probability,
  ${formatError(errors.state, ERROR_MAX.state)} of h and c

${formatClaims([
    [isExact, 'two LSTM layers compute what torch computes, as far as float32 goes'],
    [isAsGood, 'what the model knows of the novel is as much as with torch'],
  ])}
`);
  return { isRight: isExact && isAsGood, numbers: { ...written, bitsPerCharacter: { service: bits, torch: torchBits }, maxAbsError: errors } };
}

function readWriting({ seed = '7', characters = '600', temperature = '0.6', prompt = '\n\n' }: Options): Writing {
  return {
    prompt,
    seed: numberOf('seed', seed, 0, 2 ** 32 - 1),
    characters: numberOf('characters', characters, 1, 100_000),
    temperature: numberOf('temperature', temperature, 0.1, 2, false),
  };
}

function numberOf(option: string, text: string, min: number, max: number, isWhole = true): number {
  const value = Number(text);
  if (value >= min && value <= max && (Number.isInteger(value) || !isWhole)) return value;
  throw new DemoError(`--${option} is ${text}, expected ${isWhole ? 'a whole number' : 'a number'}, ${min} … ${max}.`);
}

/** @throws DemoError if a character is not of the alphabet */
function tokensOf(text: string, alphabet: readonly string[]): number[] {
  return Array.from(text, (character) => {
    const token = alphabet.indexOf(character);
    if (token >= 0) return token;
    throw new DemoError(`The novel has no ${JSON.stringify(character)}; the model knows ${alphabet.join('').trim()}`);
  });
}

/** Shows the prompt and what the model writes after it. */
async function write(carryover: Carryover, { prompt, seed, characters, temperature }: Writing, alphabet: readonly string[]) {
  await using session = await carryover.sessions.create({ model: 'austen' });
  const sampler = new Sampler(seed, temperature);
  let style = strong;
  const column = new TextColumn((text) => process.stdout.write(style(text)));
  for (const character of prompt) column.append(character);
  style = String;
  const startMs = performance.now();
  const x = tokensOf(prompt, alphabet).map((token) => [token]);
  let { y } = await session.sequence(x, { outputs: ['y'] });
  let text = '';
  for (;;) {
    const token = sampler.draw([...y!.data]);
    text += alphabet[token]!;
    column.append(alphabet[token]!);
    if (text.length === characters) break;
    ({ y } = await session.step([token]));
  }
  const perS = Math.round((1000 * characters) / (performance.now() - startMs));
  console.log(weak(` …\n\n  ${characters} characters, ${perS}/s. Seed ${seed} writes this on every machine; try --seed ${seed + 1}\n`));
  return { text, charactersPerS: perS };
}

/**
 * Mean of -log2 of the probability that each character of the held-out text was given, as torch measured it: in
 * windows of 2,000 characters, each of which continues from the states of the one before. The last character of a
 * window is only forecast, and read by neither window.
 */
async function bitsPerCharacter(carryover: Carryover, tokens: readonly number[]): Promise<number> {
  let states: { readonly h?: States; readonly c?: CellStates } = {};
  let bits = 0;
  let count = 0;
  for (let start = 0; start < tokens.length; start += WINDOW) {
    const window = tokens.slice(start, start + WINDOW);
    const x = window.slice(0, -1).map((token) => [token]);
    const { ys, h, c } = await carryover.sequence({ model: 'austen', x, outputs: ['ys', 'h', 'c'], ...states });
    for (const t of x.keys()) bits -= Math.log2(ys!.at(t, 0, window[t + 1]!));
    count += x.length;
    states = { h: h!, c: c! };
  }
  return bits / count;
}

/** Largest differences to torch after the first characters of the text. */
async function errorsOf(carryover: Carryover, tokens: readonly number[]) {
  const expected = readTensors('austen-expected.safetensors');
  const x = tokens.slice(0, expected('tokens').length).map((token) => [token]);
  const { ys, h, c } = await carryover.sequence({ model: 'austen', x, outputs: ['ys', 'h', 'c'] });
  const ofStates = [0, 1].flatMap((layer) => [
    maxError((h as Tensor[])[layer]!.data, expected(`h.${layer}`)),
    maxError((c as Tensor[])[layer]!.data, expected(`c.${layer}`)),
  ]);
  return { characters: x.length, probability: maxAbsError(ys!.data, expected('probabilities')), state: Math.max(...ofStates) };
}
