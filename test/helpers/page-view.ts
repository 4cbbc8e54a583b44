// A service in this process with its page in a browser, for the tests of the views.
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { buildApp, type TestApp } from './app.ts';
import { openPage, startBrowser, type OpenOptions, type OpenPage } from './page.ts';
import { sample } from './long.ts';

export interface PageService {
  readonly app: TestApp;
  /** Without a slash at the end. */
  readonly url: string;
  /** Shows a view, `try?model=sunspots`, in a window of its own. */
  readonly show: (view: string, options?: OpenOptions) => Promise<OpenPage>;
  /** A call of the API, besides the page. */
  readonly call: <Answer>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown) => Promise<Answer>;
}

/** @param environment of the service */
export async function startPageService(environment: Record<string, string> = {}): Promise<PageService> {
  const app = await buildApp(environment);
  const url = await app.http.listen({ host: '127.0.0.1', port: 0 });
  const browser: Browser = await startBrowser();
  return {
    app,
    url,
    show: (view, options) => openPage(browser, `${url}/#/${view}`, options),
    call: async (method, path, body) => {
      const response = await fetch(url + path, { method, ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) });
      const text = await response.text();
      if (!response.ok) throw new Error(text);
      return text && JSON.parse(text);
    },
  };
}

const COMMANDS = {
  curl: (program: string) => ['sh', '-c', program],
  JavaScript: (program: string) => [process.execPath, '--input-type=module', '-e', program],
  Python: (program: string) => ['python3', '-c', program],
} as const;

/** In the short form one of the languages. Copies each program of the panel "Take it with you" and runs it in a folder. @returns what each printed */
export async function runCopiedPrograms(page: Page, env: Record<string, string> = {}, folder = tmpdir()): Promise<Record<string, string>> {
  const panel = page.locator('.snippets');
  if ((await panel.getAttribute('open')) === null) await panel.locator('summary').click();
  const printed: [string, Promise<string>][] = [];
  for (const [language, commandOf] of sample(Object.entries(COMMANDS), 1)) {
    await panel.getByRole('button', { name: language, exact: true }).click();
    await panel.getByRole('button', { name: 'Copy' }).click();
    await panel.getByRole('status').filter({ hasText: 'Copied' }).waitFor();
    const [command, ...options] = commandOf(await page.evaluate(() => navigator.clipboard.readText()));
    printed.push([language, promisify(execFile)(command!, options, { cwd: folder, env: { ...process.env, ...env }, maxBuffer: 2 ** 26 }).then(({ stdout }) => stdout)]);
  }
  const outputs = await Promise.all(printed.map(([, output]) => output));
  return Object.fromEntries(printed.map(([language], k) => [language, outputs[k]!]));
}
