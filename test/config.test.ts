import { describe, expect, test } from 'vitest';
import { ConfigError, ConfigSchema, processesOf, readConfig, workersOf } from '../src/config.ts';

interface IntegerSetting {
  readonly type?: string;
  readonly default?: number;
  readonly minimum: number;
  readonly maximum: number;
}

const INTEGERS = (Object.entries(ConfigSchema.properties) as unknown as [string, IntegerSetting][]).filter(([, { type }]) => type === 'integer');

/** The lines of the error; none if the settings are valid. */
function problemsOf(environment: Record<string, string>): string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    return (error as Error).message.split('\n').slice(1).map((line) => line.trim());
  }
}

describe('the configuration', () => {
  test('every setting has a working default', () => {
    const config = readConfig({});
    expect(config).toMatchObject({ HOST: '127.0.0.1', PORT: 8080, LOG_LEVEL: 'info' });
    expect(processesOf(config)).toBe(1);
    expect(workersOf(config)).toBeGreaterThanOrEqual(1);
  });

  test.each([
    [{}, 1, { processes: 1, workers: 1 }],
    [{}, 2, { processes: 1, workers: 1 }],
    [{}, 8, { processes: 1, workers: 7 }],
    [{ PROCESSES: '2' }, 8, { processes: 2, workers: 3 }],
    [{ PROCESSES: '3' }, 8, { processes: 3, workers: 1 }],
    [{ PROCESSES: '4' }, 2, { processes: 4, workers: 1 }],
    [{ PROCESSES: '2', WORKERS: '7' }, 8, { processes: 2, workers: 7 }],
    [{ PROCESSES: 'auto' }, 1, { processes: 1, workers: 1 }],
    [{ PROCESSES: 'auto' }, 8, { processes: 4, workers: 1 }],
    [{ PROCESSES: 'auto', WORKERS: '3' }, 8, { processes: 2, workers: 3 }],
  ])('%o on %i cores: %o', (environment, cores, { processes, workers }) => {
    const config = readConfig({ STORE_URL: 'redis://localhost', ...environment });
    expect([processesOf(config, cores), workersOf(config, cores)]).toEqual([processes, workers]);
  });

  test.each(['0', '-1', '100', '1.5', 'all', ''])('PROCESSES=%s is refused', (PROCESSES) => {
    expect(() => readConfig({ PROCESSES })).toThrow(/PROCESSES is not as expected \(Processes that serve PORT together.*`auto`/);
  });

  test.each([
    ['2', undefined, /PROCESSES=2 needs Redis, got STORE_URL=sqlite:.*: a SQLite file belongs to one process\. Set STORE_URL=redis:/],
    ['auto', 'sqlite:x.sqlite', /PROCESSES=auto needs Redis, got STORE_URL=sqlite:x\.sqlite/],
    ['2', 'memory:', /PROCESSES=2 needs Redis, got STORE_URL=memory:: what one process has in its memory the others cannot see\./],
  ])('PROCESSES=%s with %s is refused with the reason', (PROCESSES, STORE_URL, reason) => {
    expect(() => readConfig({ PROCESSES, ...(STORE_URL && { STORE_URL }) })).toThrow(reason);
  });

  test('numbers are read from text, and unknown variables ignored', () => {
    expect(readConfig({ PORT: '0', PATH: '/bin' })).toMatchObject({ PORT: 0 });
  });

  test.each(['0x10', '1e3', ' 18470', '18470 ', '16.0', '0b1', '0o7', '+1', '-', '', 'Infinity', '٣'])('no setting takes %j for an integer', (text) => {
    const names = INTEGERS.map(([name]) => name);
    expect(names.length).toBeGreaterThan(50);
    const problems = problemsOf(Object.fromEntries(names.map((name) => [name, text])));
    expect(problems).toEqual(names.map((name) => `${name} must be an integer, of the digits 0 to 9 only, got ${JSON.stringify(text)}`));
  });

  test('every integer is read from its default and from its bounds, in digits', () => {
    for (const [name, { default: initial = 1, minimum, maximum }] of INTEGERS) {
      for (const value of [initial, minimum, maximum]) {
        // At a bound it may contradict another setting.
        const problems = problemsOf({ [name]: String(value) });
        expect(problems.filter((problem) => problem.includes(`, got "${value}"`))).toEqual([]);
      }
      expect(problemsOf({ [name]: String(minimum - 1) })).toContain(`${name} must be >= ${minimum}, got "${minimum - 1}"`);
    }
  });

  test('every problem is listed at once, with the value given', () => {
    const broken = { PORT: 'http', WORKERS: '0', LOG_LEVEL: 'loud', N_MAX: '1.5', T_MAX: '' };
    expect(() => readConfig(broken)).toThrow(ConfigError);
    for (const line of [/PORT must be an integer, of the digits 0 to 9 only, got "http"/, /WORKERS must be >= 1, got "0"/,
      /LOG_LEVEL .*\(fatal, .*silent\), got "loud"/, /N_MAX must be an integer, .* got "1.5"/]) {
      expect(() => readConfig(broken)).toThrow(line);
    }
  });

  test.each([
    [{ BODIES_BYTES_MAX: '1048576' }, /BODY_BYTES_MAX must be <= BODIES_BYTES_MAX/],
    [{ SESSION_TTL_S: '100', SESSION_TTL_S_MAX: '10' }, /SESSION_TTL_S must be <= SESSION_TTL_S_MAX/],
    [{ DRAIN_DELAY_MS: '8000', SHUTDOWN_TIMEOUT_MS: '3000' }, /DRAIN_DELAY_MS must be <= SHUTDOWN/],
    [{ PORT: '9000', METRICS_PORT: '9000' }, /METRICS_PORT must differ from PORT, got 9000 for both/],
    [
      { MEMORY_BYTES_MAX: String(512 * 2 ** 20) },
      /MODELS_BYTES_MAX \+ BODIES_BYTES_MAX must be <= 7\/8 of MEMORY_BYTES_MAX/,
    ],
  ])('settings that contradict each other are refused: %o', (environment, message) => {
    expect(() => readConfig(environment)).toThrow(message);
  });

  test.each(['', 'false', 'true', '1', '32', '10.0.0.0/8', '127.0.0.1, ::1,fd00::/8'])('TRUST_PROXY=%s', (TRUST_PROXY) => {
    expect(readConfig({ TRUST_PROXY })).toMatchObject({ TRUST_PROXY });
  });

  test.each(['yes', '0', '33', '-1', '1.5', '10.0.0.0/33', '::1/129', '10.0.0/8', 'example.org', '10.0.0.1,', '10.0.0.1/8/8'])(
    'TRUST_PROXY=%s is refused',
    (TRUST_PROXY) => {
      expect(() => readConfig({ TRUST_PROXY })).toThrow(/TRUST_PROXY must be `true`, a number of proxies from 1 to 32, or addr/);
    },
  );

  test('contradictions are listed beside other problems, unless they follow from them', () => {
    const broken = { SESSION_TTL_S_MAX: '10', BODIES_BYTES_MAX: '-1', MEMORY_BYTES_MAX: '2097152' };
    expect(() => readConfig(broken)).toThrow(
      /^Invalid configuration:\n {2}BODIES_BYTES_MAX must be >= 1.*\n {2}SESSION_TTL_S must be <= SESSION_TTL_S_MAX.*$/,
    );
  });

  test('the password of a URL is not repeated', () => {
    expect(() => readConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: 'grpc://user:secret@collector:4317' })).toThrow(
      /OTEL_EXPORTER_OTLP_ENDPOINT is not as expected \(.*`http:\/\/collector:4318`.*\), got "grpc:\/\/…@collector:4317"/,
    );
    expect(() => readConfig({ STORE_URL: 'redis+x://user:secret@host' })).toThrow(
      /STORE_URL is not as expected \(.*`sqlite:FILE`.*\), got "redis\+x:\/\/…@host"/,
    );
    const odd = () => readConfig({ STORE_URL: 'redis+x://user:sec/ret@host' });
    expect(odd).toThrow(/got "redis\+x:\/\/…@host"/);
  });
});
