// All configuration, from environment variables only: validated by one schema, checked setting against setting, and all
// problems reported at once. This is the only file that reads process.env.
import { envSchema } from 'env-schema';
import { type Conflict, conflictsIn } from './settings/conflicts.ts';
import { type Config, ConfigSchema } from './settings/schema.ts';
import { withoutSecrets } from './settings/setting-error.ts';

export { hasAccessControl, jwksUrlOf, processesOf, tenantLimitsOf, workersOf } from './settings/derived.ts';
export { type Config, ConfigSchema };

export class ConfigError extends Error {}

/** @throws ConfigError listing every problem, one a line */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const { config, problems } = validate(environment);
  if (config) return expectNone(config, conflictsIn(config));
  // Without the settings that are invalid by themselves, conflicts among the others are reported as well.
  const wrong = new Set(problems.map(settingOf));
  const rest = Object.fromEntries(Object.entries(environment).filter(([name]) => !wrong.has(name)));
  const { config: others } = validate(rest);
  const conflicts = others
    ? conflictsIn(others).filter(({ settings }) => !settings.some((name) => wrong.has(name)))
    : [];
  const lines = problems.map((problem) => describe(problem, environment));
  throw configError([...lines, ...conflicts.map(({ message }) => message)]);
}

/** A text that the validator refuses where an integer is expected; messages have the text of the environment. */
const NO_INTEGER = 'no integer';

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message?: string;
  readonly params: { readonly allowedValues?: readonly string[]; readonly type?: string };
}

function validate(data: NodeJS.ProcessEnv): { config?: Config; problems: readonly SchemaError[] } {
  const strictData = Object.fromEntries(Object.entries(data).map(([name, text]) => [name, strictInteger(name, text)]));
  try {
    return { config: envSchema<Config>({ schema: ConfigSchema, data: strictData, env: false }), problems: [] };
  } catch (error) {
    const { errors } = error as { errors?: SchemaError[] };
    if (!errors) throw error;
    return { problems: errors };
  }
}

/** The validator would take for an integer whatever Number() does: 0x10, 1e3, 16.0, and spaces around it. */
function strictInteger(name: string, text: string | undefined): string | undefined {
  const setting = ConfigSchema.properties[name as keyof Config] as { type?: string } | undefined;
  const isRefused = setting?.type === 'integer' && text !== undefined && !/^-?\d+$/.test(text);
  return isRefused ? NO_INTEGER : text;
}

function expectNone(config: Config, conflicts: readonly Conflict[]): Config {
  if (conflicts.length === 0) return config;
  throw configError(conflicts.map(({ message }) => message));
}

function configError(lines: readonly string[]): ConfigError {
  return new ConfigError(`Invalid configuration:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

function settingOf({ instancePath }: SchemaError): string {
  return instancePath.slice(1);
}

function describe(problem: SchemaError, environment: NodeJS.ProcessEnv): string {
  const { keyword, message, params } = problem;
  const name = settingOf(problem);
  const allowed = params.allowedValues ? ` (${params.allowedValues.join(', ')})` : '';
  const got = JSON.stringify(withoutSecrets(environment[name]));
  const { description } = ConfigSchema.properties[name as keyof Config] as { description?: string };
  // The description says more than the pattern.
  const expected =
    keyword === 'pattern'
      ? `is not as expected (${description})`
      : keyword === 'type' && params.type === 'integer'
        ? 'must be an integer, of the digits 0 to 9 only'
        : `${message}${allowed}`;
  return `${name} ${expected}, got ${got}`;
}
