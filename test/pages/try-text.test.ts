// "Try a model" with a model of characters: what it writes is what `carryover generate` writes.
import { expect, test } from 'vitest';
import { carryover } from '../helpers/command-line.ts';
import { testLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { PHONE, accessibilityFindings, overflowOf } from '../helpers/page.ts';
import { runCopiedPrograms, startPageService } from '../helpers/page-view.ts';

const PROMPT = 'She was ';
const LENGTH = 40;

describeWith(['chromium', 'curl', 'python3'], 'a text', async () => {
  const { app, show, call } = await startPageService();

  test('is that of the command line; a fork writes another, and a rewind the same again', async () => {
    const { page, problems } = await show('try?model=austen');
    await page.getByLabel('A beginning').fill(PROMPT);
    await page.getByLabel('Characters').fill(String(LENGTH));
    await page.getByRole('button', { name: 'Write', exact: true }).click();
    const A = page.getByRole('region', { name: 'Future A' });
    await A.getByText(`${LENGTH} characters written.`).waitFor();
    const generated = await carryover(['generate', '--prompt', PROMPT, '--length', String(LENGTH), '--json'], { app });
    const written = PROMPT + generated.json().text;
    expect(await A.locator('.writing').textContent()).toBe(written);

    await A.getByRole('button', { name: /^Fork/ }).click();
    const B = page.getByRole('region', { name: 'Future B' });
    await B.getByRole('slider').focus();
    await page.keyboard.press('PageDown');
    await expect.poll(() => B.locator('.writing').textContent().then((text) => text!.length)).toBeLessThan(written.length);
    const start = await B.locator('.writing').textContent();
    expect(written.startsWith(start!)).toBe(true);
    await B.getByLabel('Seed').fill('12');
    await B.getByRole('button', { name: 'Write on' }).click();
    await B.getByText(`${LENGTH} characters written.`).waitFor();
    const other = await B.locator('.writing').textContent();
    expect(other!.startsWith(start!)).toBe(true);
    expect(other!.slice(0, written.length)).not.toBe(written);
    expect(await A.locator('.writing').textContent()).toBe(written);

    const id = await A.locator('code').textContent();
    await A.getByRole('slider').focus();
    await page.keyboard.press('Home');
    await expect.poll(() => A.locator('.writing').textContent()).toBe(PROMPT);
    expect((await call<{ t: number }>('GET', `/v1/sessions/${id}`)).t).toBe(PROMPT.length);
    await A.getByRole('button', { name: 'Write on' }).click();
    await A.getByText(`${LENGTH} characters written.`).waitFor();
    expect(await A.locator('.writing').textContent()).toBe(written);

    // y of the beginning, and of the first five characters.
    for (const [language, output] of Object.entries(await runCopiedPrograms(page))) expect(output.match(/"?'?y"?'?: ?\[\[/g)?.length, language).toBe(6);
    expect(await accessibilityFindings(page)).toEqual([]);
    expect(problems).toEqual([]);
  });

  test('a character that the model does not know is named', async () => {
    const { page, problems } = await show('try?model=austen', { size: PHONE });
    await page.getByLabel('A beginning').fill('Ähnlich');
    await page.getByRole('button', { name: 'Write', exact: true }).click();
    await page.getByRole('alert').getByText('The model does not know "Ä".').waitFor();
    await page.getByLabel('A beginning').fill('');
    await page.getByRole('button', { name: 'Write', exact: true }).click();
    await page.getByRole('alert').getByText('Type at least one character').waitFor();
    expect(await overflowOf(page)).toBe(0);
    expect(problems).toEqual([]);
  });

  testLong('own models write with the characters that they are given, from logits too, or answer what they can', async () => {
    const row = (length: number, k: number) => Array.from({ length }, (_, j) => Math.sin(5 * k + 3 * j));
    const matrix = (rows: number, columns: number) => Array.from({ length: rows }, (_, k) => row(columns, k));
    const layers = (O: number) => [
      { type: 'embedding', E: matrix(3, 2) },
      { type: 'rnn', W_x: matrix(2, 4), W_h: matrix(4, 4) },
      { type: 'dense', W: matrix(4, O) },
    ];
    await call('POST', '/v1/models', { name: 'logits', layers: layers(3) });
    await call('POST', '/v1/models', { name: 'classes', layers: layers(2) });

    const { page, problems } = await show('try?model=logits');
    await page.getByLabel('A beginning').fill('0 2');
    await page.getByLabel('Characters', { exact: true }).fill('10');
    await page.getByRole('button', { name: 'Write', exact: true }).click();
    await page.getByText('10 characters written.').waitFor();
    expect(await page.locator('.writing').textContent()).toMatch(/^0 2( [012]){10}$/);
    await page.getByLabel('Characters of the model').fill('ab');
    await page.getByRole('button', { name: 'Write', exact: true }).click();
    await page.getByRole('alert').getByText('These are 2 characters, and the model has V = 3.').waitFor();
    await page.getByLabel('Characters of the model').fill('abc');
    await page.getByLabel('A beginning').fill('ac');
    await page.getByRole('button', { name: 'Write', exact: true }).click();
    await expect.poll(() => page.locator('.writing').textContent()).toMatch(/^ac[abc]{10}$/);

    await page.goto(page.url().replace(/#.*/, '#/try?model=classes'));
    await page.getByLabel('A beginning').fill('0 1');
    await page.getByRole('button', { name: 'Write', exact: true }).click();
    await page.getByText('so it cannot write').waitFor();
    const { ys } = await call<{ ys: number[][][] }>('POST', '/v1/sequence', { model: 'classes', x: [[0], [1]] });
    const cells = await page.locator('.futures td').allTextContents();
    const largestFirst = ys[1]![0]!.map((y) => Number(y.toFixed(4))).toSorted((a, b) => b - a);
    expect(cells.map(Number)).toEqual(largestFirst);
    expect(problems).toEqual([]);
  });
});
