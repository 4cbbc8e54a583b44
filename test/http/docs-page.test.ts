// Swagger UI in a real browser: "Try it out" with the prefilled example answers 200 on both routes, and where keys are needed
// "Authorize" takes one.
import { type Browser, type Page, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { makeKeys } from '../helpers/access.ts';
import { describeWith, programPath } from '../helpers/needs.ts';
import { type RunningServer, startQuickly } from '../helpers/process.ts';

describeWith('chromium', '/docs in a browser', () => {
  let server: RunningServer;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    server = await startQuickly();
    browser = await chromium.launch({
      executablePath: programPath('chromium')!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
    });
    page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    await page.goto(`${server.url}/docs`);
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  test('the page has the name of the service, and fits a narrow window', async () => {
    expect(await page.title()).toBe('Carryover');
    expect(await page.locator('meta[name=viewport]').getAttribute('content')).toBe('width=device-width, initial-scale=1');
    expect(await page.locator('.topbar').count()).toBe(0);
  });

  test.each(['step', 'sequence'])('"Try it out" on %s returns 200', async (operation) => {
    const block = page.locator(`#operations-compute-${operation}`);
    await block.locator('.opblock-summary-control').click();
    const example = await block.locator('textarea.body-param__text').inputValue();
    expect(Object.keys(JSON.parse(example))).toContain('weights');

    await block.locator('button.execute').click();
    const response = block.locator('.live-responses-table .response');
    await response.locator('.response-col_status', { hasText: '200' }).waitFor();
    const shown = await response.locator('.highlight-code, .microlight').first().innerText();
    expect(shown).toContain('"h"');
    expect(problems).toEqual([]);
  });

  test('"Authorize" takes a key, with which the service answers', async () => {
    const keys = makeKeys();
    const key = keys.add('a');
    const guarded = await startQuickly({ API_KEYS_FILE: keys.path });
    onTestFinished(async () => void (await guarded.stop()));
    await page.goto(`${guarded.url}/docs`);
    const block = page.locator('#operations-compute-step');
    await block.locator('.opblock-summary-control').click();
    const status = async () => {
      await block.locator('button.execute').click();
      const cell = block.locator('.live-responses-table .response .response-col_status');
      await cell.waitFor();
      return cell.innerText();
    };
    expect(await status()).toContain('401');
    await page.locator('button.authorize').first().click();
    const dialog = page.locator('.dialog-ux');
    await dialog.getByLabel('auth-bearer-value').fill(key);
    await dialog.getByRole('button', { name: 'Apply credentials' }).first().click();
    await dialog.locator('button.btn-done').first().click();
    await block.locator('button.btn-clear').click();
    expect(await status()).toContain('200');
  });
});
