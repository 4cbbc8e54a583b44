// What stands on the terminal when the service has started.
import { PassThrough } from 'node:stream';
import { WriteStream } from 'node:tty';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, expect, test, vi } from 'vitest';
import { type Started, greeting } from '../src/greeting.ts';

const STARTED: Started = {
  version: '1.2.3',
  url: 'http://127.0.0.1:8080',
  publicUrl: undefined,
  metricsUrl: 'http://127.0.0.1:9464/metrics',
  store: 'memory: sessions and models end with the process',
  processes: 1,
  workers: 2,
  kernel: 'simd256',
  needsKey: false,
  isBeyondMachine: false,
};
const pipe = new PassThrough();
// Node.js asks the terminal for its colours, which looks at the environment.
const getColorDepth = () => {
  const { NO_COLOR } = process.env;
  return WriteStream.prototype.getColorDepth({ TERM: 'xterm-256color', ...(NO_COLOR && { NO_COLOR }) });
};
const terminal = Object.assign(new PassThrough(), { isTTY: true, getColorDepth });

afterEach(() => void vi.unstubAllEnvs());

test('the greeting says what runs, where, with which store and workers, and who may call', () => {
  expect(greeting(STARTED, pipe)).toBe(`
  Carryover 1.2.3  recurrent networks: tanh, GRU and LSTM, the same bits every time

  Page     http://127.0.0.1:8080/
  API      http://127.0.0.1:8080/docs
  Metrics  http://127.0.0.1:9464/metrics
  Store    memory: sessions and models end with the process
  Compute  2 workers, 256-bit vectors
  Access   this machine only; there are no API keys

  curl http://127.0.0.1:8080/v1/step -H 'content-type: application/json' \\
    -d '{"weights":{"W_x":[[0.5,-0.25]],"W_h":[[0.1,0.2],[-0.3,0.4]]},"x":[[1]]}'

`);
});

test.each<[string, Partial<Started>, string]>([
  ['open to the world', { isBeyondMachine: true }, 'Access   WARNING: all who reach this address; there are no API keys\n'],
  ['with keys', { isBeyondMachine: true, needsKey: true }, 'Access   all who reach this address, with an API key or a token\n'],
  ['with keys', { needsKey: true }, `  -H "authorization: Bearer $CARRYOVER_API_KEY" \\\n    -d '`],
  ['behind a gateway', { publicUrl: 'https://example.org/ml' }, '  Public   https://example.org/ml\n'],
  ['without metrics', { metricsUrl: undefined }, 'Metrics  none (METRICS_PORT)\n'],
  ['of several processes', { processes: 4 }, 'Compute  4 processes with 2 workers each, 256-bit vectors\n'],
  ['with one worker', { workers: 1, kernel: 'simd128' }, 'Compute  1 worker, 128-bit vectors\n'],
])('%s', (_, other, line) => {
  expect(greeting({ ...STARTED, ...other }, pipe)).toContain(line);
});

test('it has colours at a terminal, unless NO_COLOR is set', () => {
  vi.stubEnv('FORCE_COLOR', undefined);
  vi.stubEnv('NO_COLOR', undefined);
  const coloured = greeting(STARTED, terminal);
  expect(coloured).toContain('\u001B[');
  expect(stripVTControlCharacters(coloured)).toBe(greeting(STARTED, pipe));
  vi.stubEnv('NO_COLOR', '1');
  expect(greeting(STARTED, terminal)).toBe(greeting(STARTED, pipe));
});
