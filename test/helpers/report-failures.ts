// The end of a run prints, for each test that failed, the command that repeats it with the same seed.
import type { Reporter, TestModule, Vitest } from 'vitest/node';

/** Variables besides SEED that decide what a test does: they are part of the command. */
const SIZES = [
  'CRASH_KILLS',
  'EVENT_LOOP_LONG',
  'HOSTILE_REQUESTS',
  'LONG',
  'MODEL_RUNS',
  'PLANTED_SEED',
  'REDIS_LONG',
  'RETRY_LOSSES',
  'RETRY_ROUNDS',
  'TRACED_CHANGES',
];

export default class ReportFailures implements Reporter {
  #seed: string | undefined;

  onInit({ config }: Vitest): void {
    this.#seed = String(config.env['SEED']);
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const commands = modules.flatMap((module) => {
      const failed = [...module.children.allTests('failed')].map(({ fullName }) => fullName);
      // A file that cannot be loaded, or whose hooks fail, has no failed test.
      if (failed.length === 0 && module.state() === 'failed') return [this.#command(module)];
      return failed.map((name) => this.#command(module, name));
    });
    if (commands.length > 0) process.stderr.write(`\n${commands.join('\n')}\n`);
  }

  #command({ relativeModuleId }: TestModule, name?: string): string {
    const sizes = Object.entries(process.env).filter(([variable]) => SIZES.includes(variable));
    const environment = [['SEED', this.#seed], ...sizes].map(([variable, value]) => `${variable}=${value}`);
    return `repeat: ${repeatCommand(environment.join(' '), relativeModuleId, name)}`;
  }
}

/**
 * With npm alone: not every installation of Node.js has npx. It builds the kernels, too.
 *
 * @param name full name of the test, with those of its groups; vitest takes -t for a regular expression
 */
export function repeatCommand(environment: string, file: string, name?: string): string {
  const command = `${environment} npm test -- ${file}`;
  if (name === undefined) return command;
  const pattern = name.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
  return `${command} -t '${pattern.replaceAll("'", String.raw`'\''`)}'`;
}
