// The views "Models" and "Sessions": what is listed, what becomes of a file, and what is done with a session.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { makeKeys } from '../helpers/access.ts';
import { describeLong, sample, testLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { PHONE, accessibilityFindings, overflowOf } from '../helpers/page.ts';
import { runCopiedPrograms, startPageService } from '../helpers/page-view.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';

const tensor = (...shape: number[]) => {
  const count = shape.reduce((product, size) => product * size);
  return { shape, data: Float32Array.from({ length: count }, (_, k) => Math.sin(k) / 2) };
};
const torchRnn = { 'rnn.weight_ih_l0': tensor(4, 1), 'rnn.weight_hh_l0': tensor(4, 4), 'head.weight': tensor(1, 4), 'head.bias': tensor(1) };
const torchTwo = { 'enc.weight_ih_l0': tensor(12, 2), 'enc.weight_hh_l0': tensor(12, 4), 'dec.weight_ih_l0': tensor(12, 4), 'dec.weight_hh_l0': tensor(12, 4) };
const fileOf = (name: string, tensors: Parameters<typeof writeSafetensors>[0]) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(writeSafetensors(tensors)) });

/** A name that would do harm if a page or a shell took it for more than a name. */
const FILE = `my '$(id)<b>rnn.safetensors`;

interface ListedModels {
  readonly models: readonly { readonly names: readonly string[]; readonly D: number; readonly H: number; readonly O?: number; readonly layers?: readonly object[] }[];
}

describeWith(['chromium', 'curl', 'python3'], 'the lists', async () => {
  const { show, call, url } = await startPageService();

  test('models have their sizes; built-in ones stay, others are deleted', async () => {
    await call('POST', '/v1/models', { name: 'mine', weights: { W_x: [[1, 2], [3, 4], [5, 6]], W_h: [[1, 0], [0, 1]] } });
    const { page, problems } = await show('models');
    const row = page.getByRole('row', { name: /^mine/ });
    await row.waitFor();
    const { models } = await call<ListedModels>('GET', '/v1/models');
    const sizes = await page.locator('.listing > tbody > tr:not(.details)').evaluateAll((rows) => rows.map((row) => [...(row as HTMLTableRowElement).cells].slice(2, 5).map((cell) => cell.textContent)));
    expect(sizes).toEqual(models.map(({ D, H, O }) => [D, H, O ?? ''].map(String)));
    expect(await page.getByRole('row', { name: /^sunspots/ }).getByText('built in').count()).toBe(1);
    expect(await page.getByRole('row', { name: /^sunspots/ }).getByRole('button', { name: /Delete/ }).count()).toBe(0);
    await row.getByRole('button', { name: 'rnn' }).click();
    await page.getByText('W_x (3, 2)').waitFor();
    const outputs = await runCopiedPrograms(page);
    for (const [language, output] of Object.entries(outputs)) expect(output, language).toMatch(/sunspots[^]*mine/);

    page.once('dialog', (dialog) => void dialog.accept());
    await row.getByRole('button', { name: 'Delete: mine' }).click();
    await row.waitFor({ state: 'detached' });
    expect((await call<ListedModels>('GET', '/v1/models')).models.flatMap(({ names }) => names)).not.toContain('mine');
    expect(problems).toEqual([]);
  });

  test('a file is registered, after the person has said what its names do not tell', async () => {
    const { page, problems } = await show('models');
    const input = page.getByLabel('Model file');
    await input.setInputFiles(fileOf(FILE, torchRnn));
    await page.getByText('The service needs to know more').waitFor();
    await page.getByLabel('Activation of the recurrent layers').selectOption('tanh');
    await page.getByRole('button', { name: 'Register' }).click();
    await page.getByText('Registered as my-id-b-rnn: what was understood').waitFor();
    await page.getByText('rnn.weight_ih_l0 (transposed)').waitFor();
    await page.getByRole('link', { name: 'Try: my-id-b-rnn' }).waitFor();
    const folder = mkdtempSync(join(tmpdir(), 'carryover-copied-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, FILE), writeSafetensors(torchRnn));
    for (const [language, output] of Object.entries(await runCopiedPrograms(page, {}, folder))) expect(output, language).toContain('rnn.weight_ih_l0 (transposed)');

    await input.setInputFiles(fileOf('two.safetensors', torchTwo));
    const layers = page.getByLabel('Layers in their order (JSON)');
    await expect.poll(() => layers.inputValue()).toBe('[{"type":"gru","name":"enc"},{"type":"gru","name":"dec"}]');
    await page.getByLabel('Name of the model').fill('two-layers');
    await page.getByRole('button', { name: 'Register' }).click();
    await page.getByText('Registered as two-layers: what was understood').waitFor();
    expect((await call<{ layers: { type: string }[] }>('GET', '/v1/models/two-layers')).layers.map(({ type }) => type)).toEqual(['gru', 'gru']);

    await input.setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('these are no weights') });
    await page.getByRole('alert').waitFor();
    expect(await page.getByText('The service needs to know more').count()).toBe(0);

    await page.getByRole('link', { name: 'Try: my-id-b-rnn' }).click();
    await page.getByText(/^Error of the second half/).waitFor();
    expect(await page.getByRole('combobox', { name: 'Model', exact: true }).evaluate((select) => (select as HTMLSelectElement).selectedOptions[0]!.text)).toBe('my-id-b-rnn');
    // Refused files are answers of the service that a browser writes to its console.
    expect(problems.filter((problem) => !/status of 4\d\d/.test(problem))).toEqual([]);
  });

  testLong('a file is dropped', async () => {
    const { page } = await show('models');
    const bytes = [...writeSafetensors({ W_x: tensor(1, 3), W_h: tensor(3, 3) })];
    const data = await page.evaluateHandle((bytes) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(bytes)], 'dropped.safetensors'));
      return transfer;
    }, bytes);
    await page.dispatchEvent('h1', 'drop', { dataTransfer: data });
    await page.getByText('Registered as dropped: what was understood').waitFor();
    expect((await call<{ H: number }>('GET', '/v1/models/dropped')).H).toBe(3);
  });

  test('a session is opened, forked, rewound, continued and deleted', async () => {
    const { id } = await call<{ id: string }>('POST', '/v1/sessions', { model: 'sunspots', keep: 4 });
    for (const x of [0.5, 0.6, 0.7]) await call('POST', '/v1/step', { session: id, x: [[x]] });
    const { page, problems } = await show('sessions');
    const row = page.getByRole('row', { name: new RegExp(id) });
    expect((await row.getByRole('cell').allTextContents()).slice(0, 4)).toEqual(['sunspots', '3', '1', '32']);
    await row.getByRole('button', { name: /Open/ }).click();
    const opened = page.getByRole('region', { name: `Session ${id}` });
    await opened.getByText('State after t = 3 steps').waitFor();
    const { h, digest } = await call<{ h: number[][]; digest: string }>('GET', `/v1/sessions/${id}`);
    await opened.getByText(digest).waitFor();
    const picture = opened.getByRole('img');
    await picture.press('ArrowRight');
    await picture.press('ArrowRight');
    await opened.getByText(`[0, 1] = ${Number(h[0]![1]!.toFixed(4))}`).waitFor();

    await opened.getByLabel('Kept steps').selectOption('1');
    await opened.getByRole('button', { name: 'Rewind' }).click();
    await opened.getByText('State after t = 1 steps').waitFor();
    expect((await call<{ t: number }>('GET', `/v1/sessions/${id}`)).t).toBe(1);
    const outputs = await runCopiedPrograms(page);
    for (const [language, output] of Object.entries(outputs)) expect(output, language).toContain(id);

    await opened.getByRole('button', { name: 'Fork' }).click();
    await page.getByText('begins with the same state').waitFor();
    const { sessions } = await call<{ sessions: { id: string }[] }>('GET', '/v1/sessions');
    expect(sessions.length).toBe(2);
    const fork = page.getByRole('region', { name: `Session ${sessions.find((session) => session.id !== id)!.id}` });
    page.once('dialog', (dialog) => void dialog.accept());
    await fork.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('is deleted').waitFor();
    expect((await call<{ sessions: { id: string }[] }>('GET', '/v1/sessions')).sessions.map((session) => session.id)).toEqual([id]);

    await page.getByRole('button', { name: `Open: ${id}` }).click();
    await opened.getByRole('link', { name: 'Go on in “Try a model”' }).click();
    await page.getByText(`Session ${id} goes on at t = 1.`).waitFor();
    const A = page.getByRole('region', { name: 'Future A' });
    await page.getByLabel('Divide by').fill('10');
    await page.getByLabel('Divide by').press('Tab');
    await A.getByLabel('Next value').fill('6');
    await A.getByRole('button', { name: 'One step' }).click();
    await A.getByText('t = 2, kept from 0 on').waitFor();
    const { h: expected } = await call<{ h: number[][] }>('POST', '/v1/sequence', { model: 'sunspots', x: [[[0.5]], [[0.6]]], outputs: ['h'] });
    expect((await call<{ h: number[][] }>('GET', `/v1/sessions/${id}`)).h).toEqual(expected);
    expect(problems).toEqual([]);
  });

  test('the newest sessions are the first, and a model is called by all of its names', async () => {
    const weights = { W_x: [[0.25]], W_h: [[0.5]] };
    for (const name of ['first', 'second']) await call('POST', '/v1/models', { name, weights });
    for (let k = 0; k < 3; k++) {
      await call('POST', '/v1/sessions', { model: 'first' });
      await sleep(5);
    }
    const { sessions } = await call<{ sessions: { id: string; created_at: string }[] }>('GET', '/v1/sessions');
    const newest = sessions.toSorted((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at)).map(({ id }) => id);
    const { page } = await show('sessions');
    await expect.poll(() => page.locator('.listing tbody th').allTextContents()).toEqual(newest);
    await page.goto(page.url().replace(/#.*/, '#/try?model=second'));
    const chosen = page.getByRole('combobox', { name: 'Model', exact: true });
    await expect.poll(() => chosen.evaluate((select) => (select as HTMLSelectElement).selectedOptions[0]?.text)).toBe('first, second');
  });

  test.each(sample(['models', 'sessions'], 1))('on a phone, in Korean and in the dark, %s is not wider than the screen', async (view) => {
    const { id } = await call<{ id: string }>('POST', '/v1/sessions', { model: 'austen' });
    const { page, problems } = await show(`${view}?id=${id}`, { size: PHONE, language: 'ko', theme: 'dark' });
    await page.locator('.listing tbody tr').first().waitFor();
    if (view === 'models') await page.locator('.disclosure').first().click();
    else await page.getByRole('region', { name: `세션 ${id}` }).waitFor();
    expect(await overflowOf(page)).toBe(0);
    expect(await accessibilityFindings(page)).toEqual([]);
    expect(problems).toEqual([]);
    expect(page.url()).toContain(url);
  });
});

describeLong('with keys', () => describeWith(['chromium', 'curl', 'python3'], 'in a browser', async () => {
  const keys = makeKeys();
  const key = keys.add('team');
  const { show } = await startPageService({ API_KEYS_FILE: keys.path });

  test('a person enters a key, and programs read theirs from the environment', async () => {
    const { page } = await show('models');
    await page.getByText('This service needs an API key.').waitFor();
    await page.getByRole('button', { name: 'API key' }).click();
    await page.getByLabel('Key', { exact: true }).fill(key);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('row', { name: /^sunspots/ }).waitFor();
    const outputs = await runCopiedPrograms(page, { CARRYOVER_API_KEY: key });
    for (const [language, output] of Object.entries(outputs)) {
      expect(output, language).toContain('sunspots');
      expect(output).not.toContain(key);
    }
    await page.getByRole('link', { name: 'Try: sunspots' }).click();
    await page.getByText(/^Error of the second half/).waitFor();
    await page.getByRole('button', { name: 'Go on from the end of the data' }).click();
    await page.getByRole('button', { name: 'Run on its own forecasts' }).click();
    await page.getByText('t = 24, kept from 0 on').waitFor();
  });
}));
