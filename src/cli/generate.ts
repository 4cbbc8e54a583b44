// carryover generate: a model of characters writes a text, each character drawn from the probabilities that the service
// answers with. The states are in a session, which is deleted at the end.
import type { Command } from 'commander';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { type Alphabet, readAlphabet } from './generate/alphabet.ts';
import { Sampler } from './generate/sampler.ts';
import { type Io, printJson, write } from './io.ts';
import { number, wholeNumber, withExamples, withService } from './options.ts';
import { Service } from './service.ts';

interface GenerateOptions {
  readonly url: string;
  readonly json?: boolean;
  readonly model: string;
  readonly alphabet?: string;
  readonly prompt: string;
  readonly length: number;
  readonly temperature: number;
  readonly seed: number;
}

const LENGTH_MAX = 1_000_000;

export function generateCommand(program: Command, io: Io): void {
  const command = withService(program.command('generate'), io)
    .description('Let a model of characters continue a text. The same seed writes the same text on every machine.')
    .option('--model <ref>', 'a model with an embedding in front and a softmax behind', 'austen')
    .option('--alphabet <file>', 'JSON list with the character of each number; known of the built-in model')
    .option('--prompt <text>', 'what the model reads before it writes', '\n')
    .option('--length <count>', 'characters to write', wholeNumber(1, LENGTH_MAX), 400)
    .option('--temperature <number>', 'below 1 likely characters become more likely, above 1 less', number(0.01, 100), 0.6)
    .option('--seed <number>', 'another seed, another text', wholeNumber(0, 2 ** 32 - 1), 7)
    .action((options: GenerateOptions) => generate(options, io));
  withExamples(command, [
    'generate --length 100',
    'generate --prompt "It is a truth" --length 80',
    'generate --temperature 0.3 --seed 1 --length 50 --json',
  ]);
}

async function generate(
  { url, json, model, alphabet: file, prompt, length, temperature, seed }: GenerateOptions,
  io: Io,
): Promise<void> {
  const alphabet = await readAlphabet(model, file);
  if (prompt === '')
    throw new CliError(
      EXIT.usage,
      'The prompt is empty, expected at least one character: a line end stands for the beginning.',
    );
  const tokens = alphabet.tokensOf(prompt);
  const service = new Service(io, url);
  await using session = await openSession(service, model);
  const sampler = new Sampler(seed, temperature);
  const started = prompt.trim() === '' ? '' : prompt;
  let text = '';
  if (!json) await write(io, started);
  for await (const character of characters({ service, session: session.id, alphabet, tokens, sampler })) {
    text += character;
    if (!json) await write(io, character);
    if (Array.from(text).length === length) break;
  }
  if (json) await printJson(io, { model, prompt, text, seed, temperature });
  else await write(io, '\n');
}

interface Writing {
  readonly service: Service;
  readonly session: string;
  readonly alphabet: Alphabet;
  /** Of the prompt. */
  readonly tokens: readonly number[];
  readonly sampler: Sampler;
}

/** Endless. @throws CliError if the model does not answer with a probability for each character */
async function* characters({ service, session, alphabet, tokens, sampler }: Writing): AsyncGenerator<string> {
  const call = (path: string, body: object) =>
    service.json<{ y?: readonly (readonly number[])[] }>(path, { method: 'POST', body });
  let { y } = await call('/v1/sequence', { session, x: tokens.map((token) => [token]), outputs: ['h'] });
  for (;;) {
    const probabilities = y?.[0];
    if (probabilities?.length !== alphabet.characters.length) {
      throw new CliError(
        EXIT.data,
        `The model answers with ${probabilities?.length ?? 'no'} numbers, expected a probability for each of the ` +
          `${alphabet.characters.length} characters: give the alphabet of the model with --alphabet.`,
      );
    }
    const token = sampler.draw(probabilities);
    yield alphabet.characters[token]!;
    ({ y } = await call('/v1/step', { session, x: [token] }));
  }
}

interface OpenSession extends AsyncDisposable {
  readonly id: string;
}

async function openSession(service: Service, model: string): Promise<OpenSession> {
  const { id } = await service.json<{ id: string }>('/v1/sessions', { method: 'POST', body: { model } });
  // Also after Ctrl-C; a service that has ended keeps the session until its ttl is over.
  const end = () => service.tryCall(`/v1/sessions/${id}`, { method: 'DELETE', signal: AbortSignal.timeout(END_MS_MAX) });
  return {
    id,
    [Symbol.asyncDispose]: () =>
      end().then(
        () => undefined,
        () => undefined,
      ),
  };
}

const END_MS_MAX = 2_000;
