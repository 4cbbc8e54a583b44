// Swagger UI in a real browser: "Try it out" with the prefilled example answers 200 on both routes.
import { type Browser, type Page, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
});
