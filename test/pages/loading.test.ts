// Views whose scripts cannot be loaded, as after an upgrade of the service, and addresses that name no view.
import type { Browser } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { type TestService, startService } from '../client/service.ts';
import { describeWith } from '../helpers/needs.ts';
import { openPage, startBrowser } from '../helpers/page.ts';

describeWith('chromium', 'the page', () => {
  let server: TestService;
  let browser: Browser;
  beforeAll(async () => {
    [server, browser] = await Promise.all([startService(), startBrowser()]);
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

  test('answers before the client of the service and the pictures are there, and does then what was asked for', async () => {
    const { page, problems } = await openPage(browser, `${server.url}/#/models`);
    const asked: string[] = [];
    let goOn: () => void;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    await page.route(/computed\.js|shared\.js/, async (route) => {
      asked.push(new URL(route.request().url()).pathname.split('/').at(-1)!);
      await held;
      await route.continue();
    });
    await page.goto('about:blank');
    await page.goto(`${server.url}/`);
    await page.locator('.transport').waitFor();
    await page.getByRole('button', { name: 'GRU' }).click();
    expect(await page.getByRole('group', { name: 'GRU' }).innerText()).toContain('r');
    for (let step = 0; step < 2; step++) await page.getByRole('button', { name: 'Step', exact: true }).click();
    await expect.poll(() => asked.toSorted()).toEqual(['computed.js', 'shared.js']);
    expect(await page.locator('.equation').count()).toBe(0);
    goOn!();
    await page.locator('.gates').waitFor();
    await expect.poll(() => page.locator('.position').innerText()).toMatch(/10/);
    expect(problems).toEqual([]);
  });

  test('has the icon of the service in its bar', async () => {
    const { page } = await openPage(browser, `${server.url}/`);
    const shapes = await page.evaluate(async () => {
      const holder = document.createElement('div');
      holder.innerHTML = await (await fetch(document.querySelector<HTMLLinkElement>('link[rel=icon]')!.href)).text();
      return [holder.querySelector('svg')!, document.querySelector('.bar svg')!].map((picture) => [picture.getAttribute('viewBox'), picture.innerHTML]);
    });
    expect(shapes[1]).toEqual(shapes[0]);
  });

  test.each(['nonsense', 'toString', '__proto__'])('shows the first view at #/%s', async (name) => {
    const { page, problems } = await openPage(browser, `${server.url}/#/${name}`);
    await page.locator('.equation').waitFor();
    expect(problems).toEqual([]);
  });
});
