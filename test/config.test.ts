import { describe, expect, test } from 'vitest';
import { ConfigError, readConfig } from '../src/config.ts';

describe('the configuration', () => {
  test('has a working default for everything', () => {
    const config = readConfig({});
    expect(config).toMatchObject({ HOST: '127.0.0.1', PORT: 8080, LOG_LEVEL: 'info' });
    expect(config.WORKERS).toBeGreaterThanOrEqual(1);
  });

  test('takes numbers from text and ignores what is not its own', () => {
    expect(readConfig({ PORT: '0', PATH: '/bin' })).toMatchObject({ PORT: 0 });
  });

  test('lists every problem at once, with what was given', () => {
    const broken = { PORT: 'http', WORKERS: '0', LOG_LEVEL: 'loud', N_MAX: '1.5', T_MAX: '' };
    expect(() => readConfig(broken)).toThrow(ConfigError);
    for (const line of [/PORT must be integer, got "http"/, /WORKERS must be >= 1, got "0"/,
      /LOG_LEVEL .*\(fatal, .*silent\), got "loud"/, /N_MAX must be integer, got "1.5"/]) {
      expect(() => readConfig(broken)).toThrow(line);
    }
  });

  test('does not repeat the password of a URL', () => {
    expect(() => readConfig({ STORE_URL: 'redis+x://user:secret@host' })).toThrow(
      /STORE_URL .*got "redis\+x:\/\/…@host"/,
    );
  });
});
