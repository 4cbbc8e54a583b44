// Which character each number of a model of characters is.
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { readInput } from '../files.ts';

/** Of the built-in models: character k is row k of the embedding, and column k of the output. */
export const ALPHABETS: Readonly<Record<string, string>> = {
  austen: '\n !"\'()*,-.0123456789:;?ABCDEFGHIJKLMNOPRSTUVWYZ_abcdefghijklmnopqrstuvwxyz',
};

export class Alphabet {
  readonly characters: readonly string[];
  readonly #tokens: ReadonlyMap<string, number>;

  constructor(characters: readonly string[]) {
    this.characters = characters;
    this.#tokens = new Map(characters.map((character, token) => [character, token]));
  }

  /** @throws CliError if a character is not of the alphabet */
  tokensOf(text: string): number[] {
    return Array.from(text, (character) => {
      const token = this.#tokens.get(character);
      if (token !== undefined) return token;
      const known = JSON.stringify(this.characters.join(''));
      throw new CliError(
        EXIT.data,
        `The prompt has ${JSON.stringify(character)}, expected only characters that the model knows: ${known}.`,
      );
    });
  }
}

/**
 * @param model its name · @param file JSON with a list of characters; absent: those of a built-in model
 * @throws CliError
 */
export async function readAlphabet(model: string, file: string | undefined): Promise<Alphabet> {
  if (file !== undefined)
    return new Alphabet(charactersOf((await readInput(file, 'The file of --alphabet')).toString(), file));
  const known = Object.hasOwn(ALPHABETS, model) ? ALPHABETS[model] : undefined;
  if (known !== undefined) return new Alphabet(Array.from(known));
  throw new CliError(
    EXIT.usage,
    `The characters of the model ${JSON.stringify(model)} are not known, expected one of ${Object.keys(ALPHABETS).join(', ')}, or ` +
      '--alphabet FILE: a JSON list with the character of each number.',
  );
}

function charactersOf(text: string, file: string): string[] {
  const list = parse(text);
  if (Array.isArray(list) && list.length > 0 && list.every((entry) => typeof entry === 'string' && entry !== ''))
    return list;
  throw new CliError(EXIT.data, `${JSON.stringify(file)} is no list of characters, expected JSON like ["a","b"," "].`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
