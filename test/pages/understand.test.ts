// The view "Understand" in a real browser: every number that it shows is the one that the service answers to a call of this test.
import { spawnSync } from 'node:child_process';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { colorOf } from '../../src/pages/colors.ts';
import { shortNumber } from '../../src/pages/numbers.ts';
import { sample, testLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { type OpenOptions, type OpenPage, PHONE, accessibilityFindings, openPage, overflowOf, startBrowser } from '../helpers/page.ts';
import { type RunningServer, startQuickly } from '../helpers/process.ts';

type Rows = number[][];

let server: RunningServer;
let browser: Browser;

async function openView(options?: OpenOptions): Promise<OpenPage> {
  const opened = await openPage(browser, `${server.url}/#/understand`, options);
  await opened.page.locator('.equation').waitFor();
  return opened;
}

/** What the service answers, in JSON. */
// oxlint-disable-next-line typescript/no-explicit-any
async function call(path: string, body: unknown): Promise<any> {
  const response = await fetch(server.url + path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  expect(response.status).toBe(200);
  return response.json();
}

const numberIn = (text: string) => Number(text.replace('−', '-'));
const matrix = (page: Page, name: string): Locator => page.locator(`.matrix[data-name="${name}"]`).first();
const cell = (page: Page, name: string, row: number, column: number): Locator =>
  matrix(page, name).locator('tr').nth(row).locator('td').nth(column);

/** The numbers of a table, as they stand there: of weights and inputs these are all their digits. */
async function shown(page: Page, name: string): Promise<Rows> {
  const rows = await matrix(page, name).locator('tr').evaluateAll((all) => all.map((row) => [...row.children].map((one) => one.textContent)));
  return rows.map((row) => row.map(numberIn));
}

async function shownWeights(page: Page) {
  return { W_x: await shown(page, 'W_{x}'), W_h: await shown(page, 'W_{h}'), b: (await shown(page, 'b'))[0] };
}

const rounded = (rows: Rows): Rows => rows.map((row) => row.map((value) => Number(value.toFixed(2)) + 0));
/** What the note says of the number that is pointed at, with all digits. */
const exact = async (page: Page) => numberIn(await page.locator('.stage .sum strong').innerText());
const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
const shownStep = (page: Page) => page.locator('.position').innerText();

/** Requests to the address, a glob, are not answered until they are released. */
async function holdRequests(page: Page, address: string) {
  const asked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  await page.route(address, async (route) => {
    asked.resolve();
    await released.promise;
    await route.continue();
  });
  const release = async () => {
    const response = page.waitForResponse(address);
    released.resolve();
    await (await response).finished();
  };
  return { asked: asked.promise, release };
}

async function reset(page: Page): Promise<void> {
  await press(page, 'Reset');
  await expect.poll(() => shownStep(page)).toBe('t = 1');
}

describeWith('chromium', 'the view "Understand"', () => {
  /** One window for all tests: what a test leaves of weights and steps the next one reads. */
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    [server, browser] = await Promise.all([startQuickly(), startBrowser()]);
    ({ page, problems } = await openView());
  });
  afterEach(() => expect(problems).toEqual([]));

  test('products, sum and state are the numbers of the service, step after step', async () => {
    await reset(page);
    const weights = await shownWeights(page);
    let h: Rows = [[0, 0, 0, 0], [0, 0, 0, 0]];
    for (let t = 1; t <= 3; t++) {
      if (t > 1) await press(page, 'Step');
      await expect.poll(() => shownStep(page)).toBe(`t = ${t}`);
      const { trace, ...after } = await call('/v1/step', { weights, x: await shown(page, 'x_t'), h, trace: true });
      expect(await shown(page, 'h_{t-1}')).toEqual(rounded(h));
      const made = { 'h_{t-1} W_h': trace.h_W_h, 'x_t W_x': trace.x_W_x, z: trace.z, h_t: after.h };
      for (const [name, tensor] of Object.entries(made)) {
        expect(await shown(page, name)).toEqual(rounded(tensor));
        await cell(page, name, 1, 2).hover();
        expect(await exact(page)).toBe(tensor[1][2]);
      }
      h = after.h;
    }
    // tanh 2 = 0.96402758…
    expect(await page.locator('.curve-holder figcaption').innerText()).toContain('tanh 2 ≈ 0.964');
  });

  test('a number of a product lights its row and its column, whose terms are written out', async () => {
    await cell(page, 'x_t W_x', 1, 2).hover();
    const litIn = async (name: string) => (await matrix(page, name).locator('.lit').allInnerTexts()).map(numberIn);
    const [x, W_x] = [await shown(page, 'x_t'), await shown(page, 'W_{x}')];
    expect(await litIn('x_t')).toEqual(x[1]);
    expect(await litIn('W_{x}')).toEqual(W_x.map((row) => row[2]));
    expect(await litIn('h_{t-1}')).toEqual([]);
    const signed = (value: number) => (value < 0 ? `(−${-value})` : String(value));
    const terms = x[1]!.map((value, d) => `${signed(value)} × ${signed(W_x[d]![2]!)}`).join(' + ');
    expect(await page.locator('.stage .sum').innerText()).toContain(`= ${terms}`);
  });

  test('with the keyboard alone a weight is changed, of all steps, and another step is chosen', async () => {
    await reset(page);
    await press(page, 'Step');
    await expect.poll(() => shownStep(page)).toBe('t = 2');
    await cell(page, 'W_{h}', 0, 0).focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.type('-1.5');
    await page.keyboard.press('Enter');
    await expect.poll(async () => (await shown(page, 'W_{h}'))[1]![1]).toBe(-1.5);
    const weights = await shownWeights(page);
    const [secondX, secondH] = [await shown(page, 'x_t'), await shown(page, 'h_t')];

    await page.locator('.time canvas').last().focus();
    await page.keyboard.press('ArrowLeft');
    expect(await shownStep(page)).toBe('t = 1 of 2');
    const { hs } = await call('/v1/sequence', { weights, x: [await shown(page, 'x_t'), secondX] });
    expect([await shown(page, 'h_t'), secondH]).toEqual(hs.map(rounded));
  });

  test('while it plays the states of all steps are drawn, in the colours of the numbers of the service', async () => {
    await page.getByLabel('Input signal').selectOption('impulse');
    await reset(page);
    const weights = await shownWeights(page);
    await page.getByLabel('Speed').selectOption('240');
    await press(page, 'Play');
    await expect.poll(async () => Number(/\d+/.exec(await shownStep(page)))).toBeGreaterThan(20);
    await press(page, 'Pause');
    const T = Number(/\d+/.exec(await shownStep(page)));

    const x = Array.from({ length: T }, (_, t) => Array<number[]>(2).fill(Array<number>(3).fill(t === 0 ? 1 : 0)));
    const { hs } = await call('/v1/sequence', { weights, x });
    expect(await shown(page, 'h_t')).toEqual(rounded(hs[T - 1]));
    const picture = page.locator('.time canvas').nth(1);
    const { width, height } = (await picture.boundingBox())!;
    const columnPixels = Math.min(28, Math.floor(width / T));
    // Of step 3 the unit 2, in row 0 of the batch.
    const [left, top] = [Math.floor(2.5 * columnPixels), Math.floor((2.5 * height) / 4)];
    await picture.hover({ position: { x: left, y: top } });
    expect(await page.locator('.time figcaption').nth(1).innerText()).toContain(`t = 3, [0, 2] = ${shortNumber(hs[2][0][2])}`);
    const drawn = await picture.evaluate((canvas, [x, y]) => [...(canvas as HTMLCanvasElement).getContext('2d')!.getImageData(x!, y!, 1, 1).data], [left, top]);
    const [red, green, blue, opacity] = colorOf(hs[2][0][2], 1);
    expect(Math.abs(drawn[3]! - opacity)).toBeLessThanOrEqual(1);
    // Colours are kept multiplied by their opacity, and so lose a few bits.
    const lost = 256 / Math.max(opacity, 1) + 1;
    for (const [k, value] of [red, green, blue].entries()) expect(Math.abs(drawn[k]! - value)).toBeLessThanOrEqual(lost);
  });

  test.each(sample(['GRU', 'LSTM'], 1))('gates and states of a %s are the numbers of the service', async (name) => {
    await press(page, name);
    await reset(page);
    const gates = { GRU: ['r', 'z', 'n'], LSTM: ['i', 'f', 'g', 'o'] }[name]!;
    const [W_x, W_h, b]: [Rows, Rows, Rows] = [[], [], []];
    const seen: Record<string, { z: Rows; value: Rows }> = {};
    for (const gate of gates) {
      await page.locator('.gates button', { hasText: `${gate} · ` }).click();
      await matrix(page, `z_${gate}`).waitFor();
      for (const [all, part] of [[W_x, `W_{x${gate}}`], [W_h, `W_{h${gate}}`], [b, `b_${gate}`]] as const) {
        (await shown(page, part)).forEach((row, k) => (all[k] ??= []).push(...row));
      }
      seen[gate] = { z: await shown(page, `z_${gate}`), value: await shown(page, gate) };
    }
    const layer = { type: name.toLowerCase(), W_x, W_h, b: b[0] };
    const answer = await call('/v1/step', { weights: { layers: [layer] }, x: await shown(page, 'x_t'), trace: true });
    const [traced] = answer.trace.layers;
    for (const gate of gates) expect(seen[gate]).toEqual({ z: rounded(traced.z[gate]), value: rounded(traced.values[gate]) });
    expect(await shown(page, 'h_t')).toEqual(rounded(answer.h));
    if (name === 'LSTM') expect(await shown(page, 'c_t')).toEqual(rounded(answer.c));
    const update = page.locator('.update');
    await update.locator('.matrix[data-name="h_t"] td').nth(1).hover();
    expect(numberIn(await update.locator('.sum strong').innerText())).toBe(answer.h[0][1]);
  });

  /** The tables of the usual sizes, and the largest ones. */
  const expectFine = async (one: Page) => {
    expect(await accessibilityFindings(one)).toEqual([]);
    for (const size of ['D', 'H']) await one.locator('label.size', { hasText: `${size} =` }).locator('input').fill('7');
    await expect.poll(() => matrix(one, 'h_{t-1}').innerText()).toContain('(N, H) = (2, 8)');
    expect(await overflowOf(one)).toBe(0);
  };

  test('axe-core finds nothing serious, and nothing is wider than the window', () => expectFine(page));

  testLong('so it is on a phone, in Korean, in the dark', async () => {
    const phone = await openView({ size: PHONE, language: 'ko', theme: 'dark' });
    await press(phone.page, 'LSTM');
    await phone.page.locator('.gates').waitFor();
    await expectFine(phone.page);
    expect(phone.problems).toEqual([]);
  });

  test('what is asked for while an answer is awaited counts, too', async () => {
    const call = await holdRequests(page, '**/v1/sequence');
    const name = (await page.locator('.gates').count()) > 0 ? 'RNN (tanh)' : 'GRU';
    await press(page, name);
    await call.asked;
    await press(page, 'Reset');
    for (let k = 0; k < 3; k++) await press(page, 'Step');
    await call.release();
    await expect.poll(() => shownStep(page)).toBe('t = 4');
    expect(await page.locator('.gates').count()).toBe(name === 'GRU' ? 1 : 0);
    await page.unroute('**/v1/sequence');
  });

  test('steps that are played behind a step whose answer is awaited continue it', async () => {
    await page.getByLabel('Input signal').selectOption('sine');
    await reset(page);
    const call = await holdRequests(page, '**/v1/s*');
    await press(page, 'Step');
    await call.asked;
    await press(page, 'Play');
    await call.release();
    await expect.poll(async () => Number(/\d+/.exec(await shownStep(page)))).toBeGreaterThan(8);
    await press(page, 'Pause');
    await page.unroute('**/v1/s*');
    const inputs: string[] = [];
    await page.locator('.time canvas').last().focus();
    await page.keyboard.press('Home');
    for (let t = 1; t <= 6; t++) {
      inputs.push(JSON.stringify(await shown(page, 'x_t')));
      await page.keyboard.press('ArrowRight');
    }
    // No two inputs of the series in a row are the same, so none was taken twice.
    expect(inputs.filter((x, t) => x === inputs[t - 1])).toEqual([]);
  });

  test('a network whose call has failed is computed as soon as anything is asked for', async () => {
    const { page: other } = await openPage(browser, `${server.url}/#/sessions`);
    await other.route('**/v1/s*', (route) => route.fulfill({ status: 422, json: { code: 'shape_mismatch', detail: 'not now', status: 422, title: '', type: '' } }));
    await other.evaluate(() => (location.hash = '#/understand'));
    await other.getByRole('alert').waitFor();
    await press(other, 'GRU');
    await expect.poll(() => other.getByRole('alert').allInnerTexts()).toEqual([expect.stringContaining('not now')]);
    await other.unroute('**/v1/s*');
    await press(other, 'Step');
    await other.locator('.gates').waitFor();
    expect(await other.getByRole('alert').count()).toBe(0);
    expect(await shownStep(other)).toBe('t = 8');
    await press(other, 'Step');
    await expect.poll(() => shownStep(other)).toBe('t = 9');
  });

  test('the curve is drawn, too, if another network is chosen while the library that draws it is loaded', async () => {
    const { page: other } = await openPage(browser, `${server.url}/#/sessions`);
    const library = await holdRequests(other, '**/uplot.js');
    await other.evaluate(() => (location.hash = '#/understand'));
    await library.asked;
    const call = await holdRequests(other, '**/v1/sequence');
    await press(other, 'GRU');
    await call.asked;
    await library.release();
    await other.locator('.curve-holder figcaption').waitFor();
    await call.release();
    await other.locator('.gates').waitFor();
    expect(await other.locator('.curve-holder figcaption').innerText()).toContain('σ(2) ≈ 0.881');
  });

  testLong('without its service the view says so', async () => {
    const alone = await openView();
    await alone.page.route('**/v1/**', (route) => route.abort());
    await press(alone.page, 'Step');
    await expect.poll(() => alone.page.getByRole('alert').allInnerTexts(), { timeout: 20_000 }).toEqual([expect.stringContaining('does not answer')]);
  });

  describeWith(['curl', 'python3'], '"Take it with you"', () => {
    test('runs in all three languages, and prints the state that is shown', async () => {
      await press(page, 'LSTM');
      await page.locator('.gates button', { hasText: 'o · ' }).waitFor();
      const state = await shown(page, 'h_t');
      await page.locator('.snippets summary').click();
      const copy = async (language: string) => {
        await page.locator('.snippets').getByRole('button', { name: language, exact: true }).click();
        await page.locator('.snippets').getByRole('button', { name: 'Copy', exact: true }).click();
        return page.evaluate(() => navigator.clipboard.readText());
      };
      const run = (program: string, ...args: string[]) => {
        const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8' });
        expect(status, stderr).toBe(0);
        return stdout;
      };
      const printed = {
        curl: run('bash', '-c', await copy('curl')),
        JavaScript: run(process.execPath, '--input-type=module', '-e', await copy('JavaScript')),
        Python: run('python3', '-c', await copy('Python')),
      };
      // The step with its trace, then the sequence up to it: both end in the state.
      const [step, sequence] = printed.curl.replace('}{', '}\n{').trim().split('\n').map((line) => JSON.parse(line));
      expect(rounded(step.h)).toEqual(state);
      expect(sequence.h).toEqual(step.h);
      for (const text of [printed.JavaScript, printed.Python]) {
        for (const value of step.h.flat()) expect(text).toContain(String(value));
      }
    });
  });
});
