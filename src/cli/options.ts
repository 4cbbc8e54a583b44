// Options that several commands have, and values of options.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from './io.ts';

export const DEFAULT_URL = 'http://127.0.0.1:8080';

/** `--url` and `--json`, of commands that call a service. */
export function withService(command: Command, { env }: Pick<Io, 'env'>): Command {
  return withJson(command).addOption(
    new Option('--url <address>', 'the service; $CARRYOVER_URL without it').default(env['CARRYOVER_URL'] || DEFAULT_URL),
  );
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON value and nothing else on stdout');
}

/** The examples of a command, at the end of its help. Each is run by a test. */
export function withExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ carryover ${line}`).join('\n')}`);
}

/** The value of an option that is a whole number. */
export const wholeNumber = (min: number, max: number) => (text: string) => {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new InvalidArgumentError(`Expected a whole number, ${min} to ${max}.`);
};

/** The value of an option that is any number. */
export const number = (min: number, max: number) => (text: string) => {
  const value = Number(text);
  if (text.trim() !== '' && value >= min && value <= max) return value;
  throw new InvalidArgumentError(`Expected a number, ${min} to ${max}.`);
};
