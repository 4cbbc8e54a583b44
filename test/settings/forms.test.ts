import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { parseHost, readHosts } from '../../src/settings/hosts.ts';
import { readOrigins } from '../../src/settings/origins.ts';
import { readBasePath, readPublicUrl } from '../../src/settings/public-address.ts';

describe('CORS_ORIGINS', () => {
  test.each([
    ['', []],
    ['*', ['*']],
    ['https://app.example.org', ['https://app.example.org']],
    ['HTTPS://App.Example.ORG:443, http://localhost:5173', ['https://app.example.org', 'http://localhost:5173']],
    ['https://a.example,https://A.example', ['https://a.example']],
    ['https://bücher.example', ['https://xn--bcher-kva.example']],
    ['http://[::1]:80', ['http://[::1]']],
    ['capacitor://localhost,chrome-extension://abc', ['capacitor://localhost', 'chrome-extension://abc']],
  ])('%s', (setting, origins) => {
    expect(readOrigins(setting)).toEqual(origins);
  });

  test.each([
    ['https://app.example.org/', /has a path; leave it out, and its slash: "https:\/\/app\.example\.org"/],
    ['https://app.example.org/app', /has a path/],
    ['app.example.org', /"app\.example\.org" is none/],
    ['null', /"null" is sent by any page in a sandbox/],
    ['https://*.example.org', /has a `\*`; list each host/],
    ['*,https://a.example', /must be `\*` alone/],
    ['https://user@a.example', /"https:\/\/user@a\.example" is none/],
    ['https://a.example,', /"" is none/],
    ['https://a b.example', /is none/],
    ['file://', /is none/],
    ['x,y', /"x" is none; "y" is none/],
  ])('%s is refused', (setting, message) => {
    expect(() => readConfig({ CORS_ORIGINS: setting })).toThrow(message);
    expect(() => readConfig({ CORS_ORIGINS: setting })).toThrow(/^Invalid configuration:\n {2}CORS_ORIGINS must be /);
  });
});

describe('ALLOWED_HOSTS', () => {
  test.each([
    ['', []],
    ['*', '*'],
    ['RNN.example.org', [{ name: 'rnn.example.org', port: undefined }]],
    ['a.example.:8443, b', [{ name: 'a.example', port: '8443' }, { name: 'b', port: undefined }]],
    ['[::1]:80', [{ name: '[::1]', port: '80' }]],
  ])('%s', (setting, hosts) => {
    expect(readHosts(setting)).toEqual(hosts);
  });

  test.each(['https://a.example', 'a.example/x', '*.example.org', 'a,*', 'a:b', 'a@b', '::1', '[::1', 'a,'])('%s is refused', (setting) => {
    expect(() => readConfig({ ALLOWED_HOSTS: setting })).toThrow(/ALLOWED_HOSTS must be names like .*, got "/);
  });

  test.each(['', ' ', 'a b', 'a:', ':80', 'a:999999', 'a/', 'a?', 'a#', 'u@a', '[a]', '[::1]x', 'a\\b'])('no Host header: %j', (text) => {
    expect(parseHost(text)).toBeUndefined();
  });
});

describe('BASE_PATH and PUBLIC_URL', () => {
  test.each([
    ['', undefined],
    ['https://example.org', { origin: 'https://example.org', path: '' }],
    ['https://example.org/', { origin: 'https://example.org', path: '' }],
    ['HTTP://Example.org:8080/ml/rnn', { origin: 'http://example.org:8080', path: '/ml/rnn' }],
  ])('PUBLIC_URL=%s', (setting, address) => {
    expect(readPublicUrl(setting)).toEqual(address);
  });

  test.each(['example.org', 'ftp://example.org', 'https://u:secret@example.org', 'https://example.org/?x', 'https://example.org/#x', 'https://example.org/a/'])(
    'PUBLIC_URL=%s is refused',
    (PUBLIC_URL) => {
      expect(() => readConfig({ PUBLIC_URL })).toThrow(/^Invalid configuration:\n {2}PUBLIC_URL must be (?!.*secret)/);
    },
  );

  test.each(['/rnn', '/ml/rnn', '/a.b/~c_d-e'])('BASE_PATH=%s', (setting) => {
    expect(readBasePath(setting)).toBe(setting);
  });

  test.each(['rnn', '/', '/rnn/', '//rnn', '/a//b', '/a/../b', '/./a', '/a%20b', '/a b', '/a?b', '/ä', 'https://example.org/rnn'])(
    'BASE_PATH=%s is refused',
    (BASE_PATH) => {
      expect(() => readConfig({ BASE_PATH })).toThrow(/BASE_PATH must be a path like `\/ml\/rnn`/);
    },
  );

  test.each(['/v1', '/v1/rnn', '/v2', '/docs', '/health/rnn', '/problems', '/clients', '/app/rnn', '/openapi.json'])('BASE_PATH=%s could be a path of the service itself', (BASE_PATH) => {
    expect(() => readConfig({ BASE_PATH })).toThrow(/must not begin like the service's own paths, \/v1, \/v2, \/docs, /);
  });

  test('a path that is not that of the address is refused', () => {
    const PUBLIC_URL = 'https://example.org/ml/rnn';
    expect(() => readConfig({ PUBLIC_URL, BASE_PATH: '/rnn' })).toThrow(/BASE_PATH must be the path of PUBLIC_URL, got \/rnn and \/ml\/rnn/);
    expect(readConfig({ PUBLIC_URL, BASE_PATH: '/ml/rnn' })).toMatchObject({ BASE_PATH: '/ml/rnn' });
  });
});

test.each(['redis://', 'redis://u:secret%zz@h', 'redis://u:secret@h:99999', 'rediss://u:secret@h?ca=/no/such.pem', 'redis://u:sec#ret@h'])(
  'STORE_URL=%s is refused without its password',
  (STORE_URL) => {
    expect(() => readConfig({ STORE_URL })).toThrow(/^Invalid configuration:\n {2}STORE_URL (?!.*sec)[^\n]*$/);
  },
);

test('all that is wrong is listed at once', () => {
  const wrong = { CORS_ORIGINS: 'x', ALLOWED_HOSTS: '/', BASE_PATH: 'x', PUBLIC_URL: 'x', TLS_CERT_FILE: 'a.pem', TLS_MIN_VERSION: '1.1' };
  const lines = () => {
    try {
      readConfig(wrong);
      return [];
    } catch (error) {
      return (error as Error).message.split('\n').slice(1).map((line) => line.trim().split(' ')[0]);
    }
  };
  expect(lines()).toHaveLength(6);
  expect(new Set(lines())).toEqual(new Set(Object.keys(wrong)));
});
