// torch's vectors through sessions, step by step, as JSON and as files, with the service killed half-way: the bits are
// those of the whole sequence, and the error at most that of torch in float32.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensorsFile } from '../../src/codec/safetensors/read.ts';
import { describeLong, sample } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { type RunningServer, startQuickly } from '../helpers/process.ts';
import { startRedis } from '../helpers/redis.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';

const FILE_TYPE = 'application/vnd.carryover.safetensors';
const fixtures = join(import.meta.dirname, '../fixtures/cells');
const all = readdirSync(fixtures)
  .map((name) => JSON.parse(readFileSync(join(fixtures, name), 'utf8')))
  .filter(({ layers }) => layers.every(({ direction = 'forward' }: any) => direction === 'forward'));
const files = sample(all, 7);

/** A vector with the session that goes through it, and what was answered so far. */
interface Run {
  readonly file: any;
  readonly model: string;
  readonly session: string;
  /** Whether its calls are files. */
  readonly isFile: boolean;
  readonly outputs: Outputs[];
}

interface Outputs {
  readonly hs: readonly number[];
  readonly ys: readonly number[];
}

const flat = (value: unknown): number[] => [value ?? []].flat(9).filter((number) => number !== null) as number[];
const floats = (value: unknown) => Float32Array.from(flat(value));
const unlisted = (states: unknown[] | undefined) => (states?.length === 1 ? (states[0] ?? undefined) : states);

async function post(url: string, path: string, body: object): Promise<any> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer: any = await response.json();
  expect(response.ok, answer.detail).toBe(true);
  return answer;
}

async function begin(url: string, file: any, isFile: boolean): Promise<Run> {
  const { id: model } = await post(url, '/v1/models', { layers: file.layers });
  const { id: session } = await post(url, '/v1/sessions', { model, N: file.N, ...givenOf(file) });
  return { file, model, session, isFile, outputs: [] };
}

function givenOf({ h, c }: any) {
  const hasC = c?.some((entry: unknown) => entry !== null);
  return { h: unlisted(h), c: hasC ? unlisted(c) : undefined };
}

/** The steps from t on that one call has: one, but of the longest vector some. */
const stepsOf = ({ T }: any) => (T > 100 ? 25 : 1);

const halfOf = ({ T }: any) => Math.floor(T / 2);

/** One call; a row whose sequence has ended takes no step. */
async function step(url: string, { file, session, isFile, outputs }: Run, t: number): Promise<void> {
  const x = file.x.slice(t, t + stepsOf(file));
  const lengths = file.lengths?.map((length: number) => (t < length ? 1 : 0));
  if (!isFile) {
    const { hs, ys } = await post(url, '/v1/sequence', { session, x, lengths });
    outputs.push({ hs: flat(hs), ys: flat(ys) });
    return;
  }
  const [rows] = x;
  const isTokens = !Array.isArray(rows[0]);
  const shape = isTokens ? [x.length, rows.length] : [x.length, rows.length, rows[0].length];
  const metadata = { session, ...(lengths && { lengths: lengths.join(',') }) };
  const response = await fetch(`${url}/v1/sequence`, {
    method: 'POST',
    headers: { 'content-type': FILE_TYPE },
    body: Buffer.from(writeSafetensors({ x: { shape, data: floats(x) } }, metadata)),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(response.ok, bytes.toString()).toBe(true);
  const { tensors } = readSafetensorsFile(bytes);
  outputs.push({ hs: [...tensors.get('hs')!.data], ys: [...(tensors.get('ys')?.data ?? [])] });
}

const bits = (numbers: readonly number[]) => new Uint32Array(Float32Array.from(numbers).buffer);
const maxError = (actual: readonly number[], expected: readonly number[]) => {
  expect(actual).toHaveLength(expected.length);
  return actual.reduce((worst, value, i) => Math.max(worst, Math.abs(Math.fround(value) - expected[i]!)), 0);
};

function suite(start: () => Promise<RunningServer>): void {
  let server: RunningServer;
  const runs: Run[] = [];

  beforeAll(async () => {
    server = await start();
    const both = files.flatMap((file) => [begin(server.url, file, false), begin(server.url, file, true)]);
    runs.push(...(await Promise.all(both)));
    await Promise.all(runs.map((run) => advance(run, 0, halfOf(run.file))));
    const exit = once(server.process, 'exit');
    server.process.kill('SIGKILL');
    await exit;
    server = await start();
    await Promise.all(runs.map((run) => advance(run, halfOf(run.file), run.file.T)));
  });

  async function advance(run: Run, from: number, end: number): Promise<void> {
    for (let t = from; t < end; t += stepsOf(run.file)) await step(server.url, run, t);
  }

  test.each(files.map(({ name }, k) => [name, k] as const))('%s', async (_, k) => {
    const { file } = runs[2 * k]!;
    const { expected, torch_float32_max_abs_error: torchError } = file;
    const { lengths, x } = file;
    for (const { session, model, outputs } of runs.slice(2 * k, 2 * k + 2)) {
      const read: any = await (await fetch(`${server.url}/v1/sessions/${session}`)).json();
      expect(read.t).toBe(file.T);
      const whole = await post(server.url, '/v1/sequence', { model, x, lengths, ...givenOf(file) });
      expect({ h: read.h, c: read.c }).toEqual({ h: whole.h, c: whole.c });
      const hs = outputs.flatMap((output) => output.hs);
      const ys = outputs.flatMap((output) => output.ys);
      expect(bits(hs)).toEqual(bits(flat(whole.hs)));
      expect(bits(ys)).toEqual(bits(flat(whole.ys)));
      const errors = [
        maxError(hs, flat(expected.hs)),
        maxError(ys, flat(expected.ys)),
        maxError(flat(read.h), flat(expected.h)),
        maxError(flat(read.c), flat(expected.c)),
      ];
      expect(Math.max(...errors) / torchError).toBeLessThanOrEqual(1);
    }
  });
}

describe('sqlite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-cells-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  suite(() => startQuickly({ STORE_URL: `sqlite:${join(folder, 'cells.sqlite')}` }));
});

// In the short form redis.test.ts kills services over Redis, with sessions of the same kinds of cells.
describeLong('another store', () => {
  describeWith('redis-server', 'redis', () => {
    let url: string | undefined;
    suite(async () => {
      url ??= (await startRedis()).url;
      return startQuickly({ STORE_URL: url });
    });
  });
});

test('all forward vectors are present', () => {
  expect(all.length).toBeGreaterThanOrEqual(19);
});
