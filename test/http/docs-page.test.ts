// Swagger UI in a real browser: every example is answered with 2xx when "Execute" is pressed, errors are one table, and where
// keys are needed "Authorize" takes one.
import type { Browser, Locator, Page } from 'playwright-core';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { ERRORS } from '../../src/error-kinds.ts';
import { EXAMPLES } from '../../src/http/docs/examples.ts';
import { type TestService, startService } from '../client/service.ts';
import { makeKeys } from '../helpers/access.ts';
import { sized, testLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { DESKTOP, PHONE, accessibilityFindings, overflowOf, startBrowser } from '../helpers/page.ts';

/** Tried in the short form; openapi.test.ts tries all examples, twice, without a browser. */
const SHORT = ['step', 'createSession', 'deleteSession'];

describeWith('chromium', '/docs in a browser', () => {
  let server: TestService;
  let browser: Browser;

  beforeAll(async () => {
    [server, browser] = await Promise.all([startService(), startBrowser()]);
  });

  /** @param url of a service */
  const openDocs = async (url: string, options: Parameters<Browser['newPage']>[0] = {}) => {
    const page = await browser.newPage({ viewport: DESKTOP, colorScheme: 'light', ...options });
    onTestFinished(() => page.close());
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
      // The browser reports each status from 400 on.
      if (message.type() === 'error' && !message.text().includes('status of 40')) problems.push(message.text());
    });
    await page.goto(`${url}/docs`);
    await page.locator('.opblock').first().waitFor();
    return { page, problems };
  };

  const execute = async (block: Locator): Promise<string> => {
    await block.locator('button.execute').click();
    const status = await block.locator('.live-responses-table .response .response-col_status').first().innerText();
    await block.locator('button.btn-clear').click();
    return status.trim();
  };

  const openBlock = async (page: Page, id: string): Promise<Locator> => {
    const block = page.locator(`[id="${id}"]`);
    await block.locator('.opblock-summary-control').click();
    return block;
  };

  test('every example is answered with 2xx, in the order in which they stand', { timeout: 600_000 }, async () => {
    const { page, problems } = await openDocs(server.url);
    const ids = await page.locator('.opblock').evaluateAll((blocks) => blocks.map(({ id }) => id));
    const tried: string[] = [];
    for (const id of ids) {
      const operation = id.split('-').at(-1)!;
      // A WebSocket: there is nothing to execute.
      if (operation.startsWith('streamSession') || sized({ short: !SHORT.includes(operation), long: false })) continue;
      const block = await openBlock(page, id);
      const select = block.locator('.opblock-section-request-body select.examples-select-element');
      const names = EXAMPLES[operation] ? Object.keys(EXAMPLES[operation]) : ['answer'];
      for (const name of names) {
        if (names.length > 1) await select.selectOption(name);
        tried.push(`${operation} ${name}: ${await execute(block)}`);
      }
      await block.locator('.opblock-summary-control').click();
    }
    expect(tried.filter((line) => !/: 2\d\d$/.test(line))).toEqual([]);
    expect(tried.length).toBeGreaterThanOrEqual(sized({ short: 5 + 3 + 1, long: 40 }));
    expect(problems).toEqual([]);
  });

  testLong('errors are one table with links to the page of errors, and a WebSocket is not to be executed', async () => {
    const { page } = await openDocs(server.url);
    const block = await openBlock(page, 'operations-sessions-deleteSession');
    expect(await block.locator('.responses-table > tbody > .response .response-col_status').allInnerTexts()).toEqual(['204']);
    const errors = block.locator('details.errors');
    expect(await errors.locator('table').isVisible()).toBe(false);
    await errors.locator('summary').click();
    const row = errors.locator('tr', { hasText: 'step_conflict' });
    expect(await row.locator('td').allInnerTexts()).toEqual(['412', 'step_conflict', ERRORS.step_conflict.title]);
    const stream = await openBlock(page, 'operations-sessions-streamSession');
    await stream.locator('.socket-note').waitFor();
    expect(await stream.locator('button.execute').count()).toBe(0);

    await row.getByRole('link').click();
    const entry = page.locator('li#step_conflict');
    await entry.waitFor();
    await page.getByLabel('Search').fill('shape fit');
    expect(await page.locator('.problems > li:visible h2 code').allInnerTexts()).toEqual(['shape_mismatch']);
    expect(await page.locator('#found').innerText()).toBe(`1 of ${Object.keys(ERRORS).length} errors`);
    await page.evaluate(() => void (location.hash = '#not_found'));
    await page.locator('li#not_found').waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
  });

  testLong('the page has the name and the colours of the service, and fits a phone', async () => {
    const { page, problems } = await openDocs(server.url, { viewport: PHONE, colorScheme: 'dark' });
    expect(await page.title()).toBe('Carryover API');
    const colorOf = (selector: string) => page.locator(selector).evaluate((element) => getComputedStyle(element).backgroundColor);
    const dark = await colorOf('body');
    expect(await colorOf('.swagger-ui')).toBe(dark);
    await openBlock(page, 'operations-compute-step');
    expect(await page.locator('textarea.body-param__text').inputValue()).toContain('"x": [[1, 2], [-0.5, 0.25]]');
    expect(await overflowOf(page)).toBe(0);
    await page.getByRole('button', { name: 'More' }).click();
    await page.getByLabel('Theme').selectOption('light');
    expect(await colorOf('body')).not.toBe(dark);
    // The other pages are as light.
    await page.getByRole('link', { name: 'Errors', exact: true }).click();
    await page.locator('#step_conflict').waitFor();
    expect(await colorOf('body')).not.toBe(dark);
    expect(await overflowOf(page)).toBe(0);
    expect(problems).toEqual([]);
  });

  testLong('"Authorize" takes a key, with which the service answers', async () => {
    const keys = makeKeys();
    const key = keys.add('a');
    const guarded = await startService({ API_KEYS_FILE: keys.path });
    const { page } = await openDocs(guarded.url);
    const block = await openBlock(page, 'operations-compute-step');
    expect(await execute(block)).toBe('401');
    await page.locator('button.authorize').first().click();
    const dialog = page.locator('.dialog-ux');
    await dialog.getByLabel('auth-bearer-value').fill(key);
    await dialog.getByRole('button', { name: 'Apply credentials' }).first().click();
    await dialog.locator('button.btn-done').first().click();
    expect(await execute(block)).toBe('200');
    // A session for the example is created with the key.
    await block.locator('.opblock-section-request-body select.examples-select-element').selectOption('session');
    expect(await execute(block)).toBe('200');
  });
});
