// The page of the service in a real browser: what tests of its views share.
import axe from 'axe-core';
import { type Browser, type Page, chromium } from 'playwright-core';
import { closeAtEnd } from './cleanup.ts';
import { chromiumPath } from './needs.ts';

/** A common screen, and the narrowest phone that is still sold. */
export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

export interface OpenOptions {
  readonly size?: { readonly width: number; readonly height: number };
  readonly language?: 'en' | 'ko';
  readonly theme?: 'light' | 'dark';
  /** The behaviour of an operating system that is told to move little. */
  readonly reducedMotion?: boolean;
}

export interface OpenPage {
  readonly page: Page;
  /** Errors of scripts, of the console (a violation of the Content-Security-Policy is one), and requests to other hosts. */
  readonly problems: string[];
}

let shared: Promise<Browser> | undefined;

/** One for all test files of a process, with which it ends; its windows are closed when the test file ends. */
export async function startBrowser(): Promise<Browser> {
  shared ??= chromium.launch({
    executablePath: chromiumPath()!,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
  });
  const browser = await shared;
  closeAtEnd(() => Promise.all(browser.contexts().map((context) => context.close())));
  return browser;
}

/** A new window with nothing stored. @param address of the view, `http://127.0.0.1:8080/#/try` */
export async function openPage(browser: Browser, address: string, options: OpenOptions = {}): Promise<OpenPage> {
  const { size = DESKTOP, language = 'en', theme = 'light', reducedMotion = false } = options;
  const context = await browser.newContext({
    viewport: size,
    locale: { en: 'en-US', ko: 'ko-KR' }[language],
    colorScheme: theme,
    reducedMotion: reducedMotion ? 'reduce' : 'no-preference',
    hasTouch: size.width < 500,
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  const { host } = new URL(address);
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.host !== host && url.host !== '') problems.push(`a request to ${url.host}`);
  });
  await page.goto(address);
  await page.locator('main h1').waitFor();
  return { page, problems };
}

/** What axe-core finds that is serious or critical, one line each. */
export async function accessibilityFindings(page: Page): Promise<string[]> {
  // As a script element it would be refused by the Content-Security-Policy of the page.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${String(target)}: ${failureSummary}`));
}

/** The pixels by which the page is wider than its window: what a person would have to scroll sideways. */
export function overflowOf(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
