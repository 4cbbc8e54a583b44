// "Try a model" with a series: what is drawn is what the service computes, and its sessions are where the page says.
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { shortNumber } from '../../src/pages/numbers.ts';
import { testLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { PHONE, accessibilityFindings, overflowOf } from '../helpers/page.ts';
import { runCopiedPrograms, startPageService } from '../helpers/page-view.ts';

interface Row {
  readonly step: string;
  readonly data: string;
  readonly forecast: string;
  readonly A: string;
  readonly B: string;
}

/** The numbers of the chart, as its table has them when it is opened anew. */
async function tableOf(page: Page): Promise<Row[]> {
  const summary = page.locator('.numbers summary');
  if ((await page.locator('.numbers').getAttribute('open')) !== null) await summary.click();
  await summary.click();
  await page.locator('.numbers tbody tr').first().waitFor();
  const rows = await page.locator('.numbers tbody').evaluate((body) => [...(body as HTMLTableSectionElement).rows].map((row) => [...row.cells].map((cell) => cell.textContent)));
  return rows.map(([step, data, forecast, A, B]) => ({ step, data, forecast, A, B }) as Row);
}

const forecastDone = (page: Page) => page.getByText(/^Error of the second half/).waitFor();

describeWith(['chromium', 'curl', 'python3'], 'a series', async () => {
  const { show, call } = await startPageService();
  /** y of each step, as numbers of float32. */
  const ysOf = async (model: string, x: number[][]) => {
    const { ys } = await call<{ ys: number[][][] }>('POST', '/v1/sequence', { model, x: x.map((row) => [row]) });
    return ys.map(([y]) => Array.from(Float32Array.from(y!)));
  };

  test('the forecast of each month is that of the service, and goes on beyond the end', async () => {
    const { page, problems } = await show('try?model=sunspots');
    await forecastDone(page);
    const rows = await tableOf(page);
    const months = rows.slice(0, -1).map(({ data }) => Number(data));
    expect(months.length).toBe(480);
    const ys = await ysOf('sunspots', months.map((month) => [month / 100]));
    const expected = ['', ...ys.map(([y]) => shortNumber(y! * 100))];
    expect(rows.map(({ forecast }) => forecast)).toEqual(expected);
    expect(rows.at(0)!.step).toBe('1973-10');

    await page.getByRole('button', { name: 'Go on from the end of the data' }).click();
    const A = page.getByRole('region', { name: 'Future A' });
    await A.getByLabel('Steps').fill('12');
    await A.getByRole('button', { name: 'Run on its own forecasts' }).click();
    await A.getByText('t = 12, kept from 0 on').waitFor();
    let x = ys.at(-1)!;
    const { h } = await call<{ h: number[][] }>('POST', '/v1/sequence', { model: 'sunspots', x: months.map((month) => [[month / 100]]), outputs: ['h'] });
    const { id } = await call<{ id: string }>('POST', '/v1/sessions', { model: 'sunspots', h });
    const future = [x[0]! * 100];
    for (let k = 0; k < 12; k++) {
      const { y } = await call<{ y: number[][] }>('POST', '/v1/step', { session: id, x: [x] });
      x = Array.from(Float32Array.from(y[0]!));
      future.push(x[0]! * 100);
    }
    const futureRows = (await tableOf(page)).slice(480);
    expect(futureRows.map((row) => row.A)).toEqual(future.map(shortNumber));
    expect(futureRows[1]!.step).toBe('+2');

    const outputs = await runCopiedPrograms(page);
    for (const [language, output] of Object.entries(outputs)) expect(output, language).toContain(`${x[0]}`.slice(0, 6));
    // Of a long table axe looks at every cell, which takes seconds.
    await page.locator('.numbers summary').click();
    await page.locator('.numbers td').first().waitFor({ state: 'detached' });
    expect(await accessibilityFindings(page)).toEqual([]);
    expect(problems).toEqual([]);
  });

  test('the time line rewinds the session, with the mouse and with the keyboard; a fork has another future', async () => {
    const { page, problems } = await show('try?model=sunspots');
    await forecastDone(page);
    await page.getByRole('button', { name: 'Go on from the end of the data' }).click();
    const A = page.getByRole('region', { name: 'Future A' });
    await A.getByLabel('Steps').fill('20');
    await A.getByRole('button', { name: 'Run on the last values' }).click();
    await A.getByText('t = 20, kept').waitFor();
    const id = await A.locator('code').textContent();
    const tOf = async () => (await call<{ t: number }>('GET', `/v1/sessions/${id}`)).t;

    const slider = A.getByRole('slider');
    await slider.scrollIntoViewIfNeeded();
    await expect.poll(() => slider.isEnabled()).toBe(true);
    const { x, y, width, height } = (await slider.boundingBox())!;
    await page.mouse.move(x + width - 8, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + width / 2, y + height / 2, { steps: 5 });
    const preview = await A.getByText(/^to t = \d+ …$/).textContent();
    const dragged = Number(/\d+/.exec(preview!)![0]);
    expect(dragged).toBeGreaterThan(5);
    expect(dragged).toBeLessThan(15);
    expect(await tOf()).toBe(20);
    await page.mouse.up();
    await A.getByText(`t = ${dragged}, kept`).waitFor();
    expect(await tOf()).toBe(dragged);
    await expect.poll(() => slider.isEnabled()).toBe(true);
    await slider.press('ArrowLeft');
    const t = dragged - 1;
    await A.getByText(`t = ${t}, kept`).waitFor();
    expect(await tOf()).toBe(t);

    await A.getByRole('button', { name: /^Fork/ }).click();
    const B = page.getByRole('region', { name: 'Future B' });
    await B.getByLabel('Next value').fill('250');
    await B.getByLabel('Next value').press('Tab');
    await page.keyboard.press('Enter');
    await B.getByText(`t = ${t + 1}, kept`).waitFor();
    expect(await tOf()).toBe(t);
    const rows = await tableOf(page);
    expect(rows[480 + t]!.B).toBe('250');
    expect(rows[480 + t]!.A).not.toBe('250');
    expect(rows.slice(480, 480 + t).map((row) => row.B)).toEqual(rows.slice(480, 480 + t).map((row) => row.A));

    await B.getByLabel('Next value').fill('much');
    await B.getByRole('button', { name: 'One step' }).click();
    await page.getByRole('alert').getByText('Enter D = 1 number.').waitFor();
    expect(problems).toEqual([]);
  });

  testLong('a series that is drawn with the mouse or the keyboard is forecast anew', async () => {
    const { page, problems } = await show('try?model=sunspots');
    await forecastDone(page);
    await page.getByRole('button', { name: 'A wave' }).click();
    await page.getByText('120 steps: A wave').waitFor();
    const before = await tableOf(page);
    await page.getByRole('button', { name: 'Draw on the chart' }).click();
    const box = (await page.locator('.u-over').boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.25, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 20, { steps: 3 });
    await page.mouse.up();
    const chart = page.getByRole('application');
    await chart.press('ArrowRight');
    await chart.press('ArrowUp');
    await page.getByText('t = 2: ').waitFor();
    let rows = await tableOf(page);
    const data = rows.slice(0, 120).map((row) => Number(row.data));
    expect(new Set(data.slice(31, 59)).size).toBe(1);
    expect(data[1]).toBeGreaterThan(Number(before[1]!.data));
    expect(rows[10]!.data).toBe(before[10]!.data);
    const ys = await ysOf('sunspots', data.map((value) => [value]));
    // The data of the table is rounded, and its forecast may still be computed.
    await expect.poll(async () => {
      rows = await tableOf(page);
      return Math.max(...ys.map(([y], t) => Math.abs(Number(rows[t + 1]?.forecast || NaN) - y!)));
    }).toBeLessThan(1e-3);
    expect(problems).toEqual([]);
  });

  test('own models take pasted numbers and files: with other sizes, without outputs, in both directions', async () => {
    const matrix = (rows: number, columns: number) => Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => Math.cos(3 * i + j) / 2));
    const rnn = (D: number, H: number) => ({ W_x: matrix(D, H), W_h: matrix(H, H) });
    await call('POST', '/v1/models', { name: 'states', layers: [{ type: 'gru', W_x: matrix(2, 12), W_h: matrix(4, 12) }] });
    await call('POST', '/v1/models', { name: 'both', layers: [{ type: 'rnn', direction: 'bidirectional', ...rnn(1, 3), backward: rnn(1, 3) }, { type: 'dense', W: matrix(6, 2) }] });

    const { page, problems } = await show('try?model=states');
    await page.getByText('t = 120 of 120').waitFor();
    await page.getByText('Paste numbers', { exact: true }).click();
    await page.getByRole('textbox', { name: /^Numbers, one row/ }).fill('day;a;b;c\nmon;1;2;3\ntue;4;5;6\nwed;7;8;9\n');
    await page.getByRole('button', { name: 'Use these numbers' }).click();
    await page.getByText('t = 3 of 3').waitFor();
    await page.getByRole('combobox', { name: 'Input 1' }).selectOption('a');
    await page.getByRole('button', { name: 'Go on from the end of the data' }).click();
    const A = page.getByRole('region', { name: 'Future A' });
    await expect.poll(() => A.getByLabel('Next 2 values').inputValue()).toBe('7, 9');
    await A.getByRole('button', { name: 'One step' }).click();
    await A.getByText('t = 1, kept').waitFor();
    const id = await A.locator('code').textContent();
    const x = [[1, 3], [4, 6], [7, 9], [7, 9]].map((row) => [row]);
    const { h } = await call<{ h: number[][] }>('POST', '/v1/sequence', { model: 'states', x, outputs: ['h'] });
    expect((await call<{ h: number[][] }>('GET', `/v1/sessions/${id}`)).h).toEqual(h);

    await page.getByRole('combobox', { name: 'Model', exact: true }).selectOption('both');
    await page.getByText('A layer of this model reads backward').waitFor();
    await forecastDone(page);
    await page.getByLabel('CSV file').setInputFiles({ name: '<img src=x>.csv', mimeType: 'text/csv', buffer: Buffer.from('1\n0.5\n-1\n') });
    await page.getByText('3 steps: <img src=x>.csv').waitFor();
    const ys = await ysOf('both', [[1], [0.5], [-1]]);
    await page.getByRole('combobox', { name: 'Output' }).selectOption('y 2');
    await expect.poll(async () => (await tableOf(page)).map(({ forecast }) => forecast)).toEqual(['', ...ys.map(([, y]) => shortNumber(y!))]);
    expect(page.url()).toContain('#/try?model=both');
    expect(problems).toEqual([]);
  });

  testLong('on a phone, in Korean and in the dark, nothing is wider than the screen', async () => {
    const { page, problems } = await show('try?model=weather', { size: PHONE, language: 'ko', theme: 'dark' });
    await page.getByText(/^뒤쪽 절반의 오차/).waitFor();
    await page.getByRole('button', { name: '데이터의 끝에서 이어 가기' }).click();
    await page.getByRole('region', { name: '미래 A' }).getByRole('button', { name: '한 단계' }).click();
    await page.getByText('t = 1 (0부터 보관)').waitFor();
    expect(await overflowOf(page)).toBe(0);
    expect(await accessibilityFindings(page)).toEqual([]);
    expect(problems).toEqual([]);
  });
});
