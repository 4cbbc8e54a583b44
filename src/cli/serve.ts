// carryover serve: the service, as `npm start` starts it.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { Io } from './io.ts';
import { withExamples } from './options.ts';

/** Options of the settings that are given most often. */
const SETTINGS = {
  host: 'HOST',
  port: 'PORT',
  modelsDir: 'MODELS_DIR',
  store: 'STORE_URL',
  processes: 'PROCESSES',
  workers: 'WORKERS',
  logLevel: 'LOG_LEVEL',
} as const;

export function serveCommand(program: Command, io: Io): void {
  const command = program
    .command('serve')
    .description('Run the service in this terminal, as `npm start` does. Ctrl-C stops it.')
    .option('--host <address>', 'where to listen; $HOST, 127.0.0.1 without it')
    .option('--port <number>', 'port to listen on, 0 for a free one; $PORT, 8080 without it')
    .option('--models-dir <folder>', 'register the model files of a folder; $MODELS_DIR')
    .option('--store <url>', 'sqlite:FILE, redis://… or memory:; $STORE_URL, sqlite:data/carryover.sqlite without it')
    .option('--processes <count>', 'processes that serve the port together, with a redis:// store, or auto; $PROCESSES, 1 without it')
    .option('--workers <count>', 'threads of each that compute; $WORKERS, one less than its cores without it')
    .option('--log-level <level>', 'fatal, error, warn, info, debug, trace or silent; $LOG_LEVEL')
    .addHelpText('after', '\nAll settings are variables of the environment: docker/README.md has the table.')
    .action(async (options: Partial<Record<keyof typeof SETTINGS, string>>) => serve(options, io));
  withExamples(command, ['serve', 'serve --port 9000 --store memory:', 'serve --models-dir ./models']);
}

async function serve(options: Partial<Record<keyof typeof SETTINGS, string>>, io: Io): Promise<void> {
  await io.buildKernels();
  const settings = Object.entries(options).map(([option, value]) => [SETTINGS[option as keyof typeof SETTINGS], value]);
  const server = fileURLToPath(new URL('../server.ts', import.meta.url));
  const code = await io.replaceProcess([...startFlags(), server], { ...io.env, ...Object.fromEntries(settings) });
  // The service has said on stderr what is wrong.
  if (code !== 0) io.setExitCode(code);
}

/** The options that `npm start` gives to Node.js. */
function startFlags(): string[] {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { scripts } = JSON.parse(manifest) as { scripts: { start: string } };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}
