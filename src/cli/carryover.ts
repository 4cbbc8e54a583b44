// The command line: its commands, a line each, and what becomes of errors.
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { CarryoverError } from '../errors.ts';
import { backupCommand } from './backup.ts';
import { benchCommand } from './bench.ts';
import { CliError } from './cli-error.ts';
import { doctorCommand } from './doctor.ts';
import { EXIT, EXIT_MEANINGS, EXIT_OF_PROBLEM } from './exit-codes.ts';
import { generateCommand } from './generate.ts';
import { importCommand } from './import.ts';
import { Ended, type Io, type Output } from './io.ts';
import { keyCommand } from './key.ts';
import { modelsCommand } from './models.ts';
import { sentenceOf } from './problem-text.ts';
import { serveCommand } from './serve.ts';
import { withIdsBehindOptions } from './session-ids.ts';
import { sessionsCommand } from './sessions.ts';
import { stepCommand } from './step.ts';
import { formatTable } from './table.ts';

/** A command registers itself; it does its work in an action, and its failure is an error. */
export type RegisterCommand = (program: Command, io: Io) => void;

const COMMANDS: readonly RegisterCommand[] = [
  serveCommand,
  doctorCommand,
  importCommand,
  modelsCommand,
  sessionsCommand,
  stepCommand,
  generateCommand,
  backupCommand,
  keyCommand,
  benchCommand,
];

/** All commands; nothing is parsed yet. */
export function createProgram(io: Io): Command {
  const program = new Command('carryover')
    .description('Inference with recurrent networks: run the service, bring models to it, and call it.')
    .version(readVersion(), '--version', 'print the version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // Errors are printed by run().
      outputError: () => undefined,
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', `\n${exitCodes()}\n\n\`carryover COMMAND --help\` has the options and examples of a command.`);
  for (const register of COMMANDS) register(program, io);
  return program;
}

function readVersion(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}

function exitCodes(): string {
  const rows = Object.entries(EXIT_MEANINGS).map(([code, meaning]) => [`  ${code}`, meaning]);
  return `Exit codes:\n${formatTable(rows, () => 'left')}`;
}

/**
 * Runs a command line.
 *
 * @param argv the words behind `carryover`
 * @returns the exit code; an error was printed to stderr, with --json as a line of JSON
 */
export async function run(argv: readonly string[], io: Omit<Io, 'setExitCode'>): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram({ ...io, setExitCode: (code) => (exitCode = code) });
  try {
    await program.parseAsync(withIdsBehindOptions(withoutHelpOfUnknown(program, argv)), { from: 'user' });
    return exitCode;
  } catch (error) {
    // Whose reader has ended ends as it would have.
    if (io.signal.aborted) return (io.signal.reason as Ended).exitCode || exitCode;
    return report(error, argv, io);
  }
}

/** With `--help` Commander shows the help of what stands before a word that is no command, and says nothing of that word. */
function withoutHelpOfUnknown(program: Command, argv: readonly string[]): readonly string[] {
  let parent = program;
  for (const word of argv) {
    if (word.startsWith('-') || word === 'help' || parent.commands.length === 0) return argv;
    const command = parent.commands.find((known) => known.name() === word || known.aliases().includes(word));
    if (!command) return parent.registeredArguments.length > 0 ? argv : argv.filter((option) => option !== '--help' && option !== '-h');
    parent = command;
  }
  return argv;
}

function report(error: unknown, argv: readonly string[], { stderr }: Pick<Io, 'stderr'>): number {
  const failure = failureOf(error);
  printError(failure, argv, stderr);
  return failure.exitCode;
}

/** One line, with --json of JSON; none if there is no message. */
export function printError({ exitCode, message, code }: Failure, argv: readonly string[], stderr: Pick<Output, 'write'>): void {
  if (message === undefined) return;
  if (argv.includes('--json')) stderr.write(`${JSON.stringify({ error: { exitCode, code, message } })}\n`);
  else stderr.write(`carryover: ${message}\n`);
}

interface Failure {
  readonly exitCode: number;
  /** Undefined if nothing is to be said, as after --help. */
  readonly message?: string | undefined;
  /** Of a problem. */
  readonly code?: string | undefined;
}

function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) return usageFailure(error);
  if (error instanceof CliError) return { exitCode: error.exitCode, message: error.message, code: error.code };
  if (error instanceof CarryoverError) {
    const { code, message } = error;
    return { exitCode: EXIT_OF_PROBLEM[code], message: sentenceOf(code, message), code };
  }
  return {
    exitCode: EXIT.software,
    message: `This is a defect, please report it. ${(error as Error).stack ?? String(error)}`,
  };
}

/** Of what Commander found: help that was asked for, or a wrong command line. */
function usageFailure({ code, message }: CommanderError): Failure {
  if (code === 'commander.helpDisplayed' || code === 'commander.version') return { exitCode: EXIT.ok };
  // Without a command, the help was printed to stderr.
  if (code === 'commander.help') return { exitCode: EXIT.usage };
  const said = message.replace(/^error: /, '').replace(/^[a-z]/, (letter) => letter.toUpperCase());
  return {
    exitCode: EXIT.usage,
    message: `${said.replace(/\.?$/, '.')} Add --help to the command for its options and examples.`,
  };
}
