// npm run demo: three trained networks, through a running service or through one that is started for the demo.
//
//   node load/demo/demo.ts                                              says which there are, and asks at a terminal
//   node load/demo/demo.ts sunspots|weather|austen [--url ADDRESS] [--json FILE]
//   node load/demo/demo.ts austen [--seed 7] [--characters 600] [--temperature 0.6] [--prompt TEXT]
//
// Without --url the service at the PORT of the environment is called, or at 8080. Its API key, if it needs one, is read from
// CARRYOVER_API_KEY. Exit code 1 if a figure differs from torch's, or without a service at --url; 130 after Ctrl-C.
import { createInterface } from 'node:readline/promises';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { Carryover, CarryoverError } from '../../src/client/index.ts';
import { writeReport } from '../report/program.ts';
import { austen } from './austen.ts';
import { DemoError } from './demo-error.ts';
import type { Demo, Options } from './demo-type.ts';
import { DEFAULT_URL, openService } from './service.ts';
import { sunspots } from './sunspots.ts';
import { strong, weak } from './style.ts';
import { weather } from './weather.ts';

const DEMOS: readonly Demo[] = [sunspots, weather, austen];

const interrupt = new AbortController();
// A second Ctrl-C ends the process at once.
process.once('SIGINT', () => interrupt.abort());
// The reader of a pipe has ended, as in `npm run demo -- austen | head`.
process.stdout.on('error', () => interrupt.abort());

try {
  process.exitCode = await main();
} catch (error) {
  if (interrupt.signal.aborted) {
    process.stdout.write('\n');
    process.exitCode = 130;
  } else if (error instanceof DemoError || error instanceof CarryoverError) {
    console.error(error.message);
    process.exitCode = 1;
  } else {
    throw error;
  }
}

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2);
  if (name !== undefined) return run(demoOf(name), args);
  console.log(listOfDemos());
  if (!process.stdin.isTTY || !process.stdout.isTTY) return 0;
  const choice = await ask('Which one? 1, 2 or 3: ');
  return choice === '' ? 0 : run(demoOf(choice), []);
}

async function run(demo: Demo, args: readonly string[]): Promise<number> {
  const { url, json, ...options } = readArguments(demo, args);
  const runWith = demo.prepare(options);
  await using service = await openService(url, demo.name);
  const where = service.isOwn ? 'a service that was started for the demo' : `the service at ${service.url}`;
  console.log(`\n${strong(demo.title)}\n${weak(`through ${where}`)}\n`);
  const carryover = new Carryover(service.url, { apiKey: service.apiKey, signal: interrupt.signal });
  const { isRight, numbers } = await runWith(carryover);
  writeReport(json, numbers);
  return isRight ? 0 : 1;
}

/** @param choice a name, or its number in the list */
function demoOf(choice: string): Demo {
  const demo = DEMOS.find(({ name }, k) => name === choice || String(k + 1) === choice);
  if (demo) return demo;
  const names = DEMOS.map(({ name }) => name).join(', ');
  throw new DemoError(`There is no demo ${JSON.stringify(choice)}, expected one of ${names}: npm run demo -- austen`);
}

function readArguments(demo: Demo, args: readonly string[]): Options {
  const options: ParseArgsOptionsConfig = { url: { type: 'string' }, json: { type: 'string' } };
  for (const name of demo.options) options[name] = { type: 'string' };
  try {
    const values = parseArgs({ args: [...args], options }).values as Options;
    if (values['url'] !== undefined && !URL.canParse(values['url'])) {
      throw new Error(`--url ${values['url']} is not an address, expected one like http://127.0.0.1:8080`);
    }
    return values;
  } catch (error) {
    throw new DemoError((error as Error).message, { cause: error });
  }
}

function listOfDemos(): string {
  const lines = DEMOS.map(({ name, summary }, k) => `  ${k + 1}  npm run demo -- ${strong(name.padEnd(10))}${summary}`);
  return `
Networks that torch has trained, computed by a service over HTTP:

${lines.join('\n')}
       --seed 7 --characters 600 --temperature 0.6 --prompt "It is a truth"

Without --url ADDRESS the service at ${DEFAULT_URL} is called, or one is
started. --json FILE writes the figures.
`;
}

async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // While it asks, the keys are its own, Ctrl-C among them.
  terminal.once('SIGINT', () => interrupt.abort());
  try {
    return (await terminal.question(question, { signal: interrupt.signal })).trim();
  } finally {
    terminal.close();
  }
}
