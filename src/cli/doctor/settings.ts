// The settings of the environment.
import { type Config, ConfigError, ConfigSchema, readConfig } from '../../config.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { type Finding, fail, ok } from './finding.ts';

/** The configuration is absent if it is invalid. */
export function readConfigOrProblems(env: Io['env']): { readonly config: Config | undefined; readonly finding: Finding } {
  const name = 'settings';
  const set = Object.keys(ConfigSchema.properties).filter((setting) => env[setting] !== undefined);
  try {
    const config = readConfig(env);
    const found =
      set.length === 0 ? 'none in the environment, the defaults hold' : `${set.join(', ')} from the environment`;
    return { config, finding: ok(name, found) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [, ...problems] = error.message.split('\n').map((line) => line.trim());
    const advice = 'Correct them in the environment; docker/README.md has the table of settings.';
    return { config: undefined, finding: fail(name, problems.join('; '), advice, EXIT.config) };
  }
}
