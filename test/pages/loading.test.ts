// Views whose scripts cannot be loaded, as after an upgrade of the service, and addresses that name no view.
import type { Browser } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { describeWith } from '../helpers/needs.ts';
import { openPage, startBrowser } from '../helpers/page.ts';
import { type RunningServer, startQuickly } from '../helpers/process.ts';

describeWith('chromium', 'the page', () => {
  let server: RunningServer;
  let browser: Browser;
  beforeAll(async () => {
    [server, browser] = await Promise.all([startQuickly(), startBrowser()]);
    return () => server.stop();
  });

  test('says that a view could not be loaded, keeps the one that is shown, and loads the page again', async () => {
    const { page } = await openPage(browser, `${server.url}/#/understand`);
    await page.locator('.equation').waitFor();
    await page.route('**/sessions-view.js', (route) => route.fulfill({ status: 404 }));
    await page.evaluate(() => (location.hash = '#/sessions'));
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/could not be loaded/);
    expect(await page.locator('.equation').isVisible()).toBe(true);
    await page.unroute('**/sessions-view.js');
    await alert.getByRole('button').click();
    await page.locator('.equation').waitFor({ state: 'detached' });
    await page.getByRole('heading', { level: 1 }).waitFor();
    expect(await page.title()).toBe('Sessions · Carryover');
    expect(await alert.count()).toBe(0);
  });

  test('says so where nothing was shown before', async () => {
    const { page } = await openPage(browser, `${server.url}/#/models`);
    await page.route('**/sessions-view.js', (route) => route.abort());
    await page.goto('about:blank');
    await page.goto(`${server.url}/#/sessions`);
    await page.getByRole('alert').getByRole('button').waitFor();
    expect(await page.getByRole('alert').count()).toBe(1);
  });

  test.each(['nonsense', 'toString', '__proto__'])('shows the first view at #/%s', async (name) => {
    const { page, problems } = await openPage(browser, `${server.url}/#/${name}`);
    await page.locator('.equation').waitFor();
    expect(problems).toEqual([]);
  });
});
