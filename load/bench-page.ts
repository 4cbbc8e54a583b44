// npm run bench:page: what the page costs a person who opens it, and whether it keeps 60 frames a second while it plays.
//
// In Debian's chromium without a window, with an empty cache: the bytes of the first load as they were sent, the time until the
// controls answer and until the numbers are there, beside what an empty page takes, and the frames while 1,000 steps are played at
// 60 a second. It exits with 1 if a target is missed.
//
//   node load/bench-page.ts [--steps 1000] [--H 64] [--N 1] [--cell rnn] [--rounds 5] [--json FILE]
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Browser, type Page, chromium } from 'playwright-core';
import { percentile } from '../src/cli/bench/statistics.ts';
import { formatTable } from '../src/cli/table.ts';
import { serveEmptyPage } from './page/empty-page.ts';
import { startServer } from './processes/server-process.ts';
import { runProgram, wholeNumber, writeReport } from './report/program.ts';

const TARGETS = { bytes: 150_000, interactiveMs: 200, framesPerSecond: 59, slowFrames: 0.01 };
/** One and a half frames at 60 a second: a frame that took longer was seen to be late. */
const SLOW_FRAME_MS = 25;
const STEPS_PER_SECOND = 60;
/** A browser that has just opened a window still makes what is around the page, on the same cores. */
const WINDOW_MS = 500;

interface Loaded {
  readonly bytes: number;
  readonly requests: number;
  readonly interactiveMs: number;
  /** 0 of an empty page. */
  readonly numbersMs: number;
  /** Processor time of the main thread until the numbers are there. */
  readonly processorMs: number;
}

interface Played {
  readonly steps: number;
  readonly framesPerSecond: number;
  /** Of all frames. */
  readonly slowFrames: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  /** Processor time of the main thread, of one frame. */
  readonly processorMs: number;
}

await runProgram(main);

async function main(): Promise<void> {
  const { steps, H, N, cell, rounds, json } = readArguments();
  await using server = await startServer();
  using empty = await serveEmptyPage(server.url);
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
  });
  try {
    const loads: Loaded[] = [];
    const empties: Loaded[] = [];
    // The first round warms up the service and the files.
    for (let round = -1; round < rounds; round++) {
      const [loaded, emptied] = [await load(browser, server.url, 'numbersMs'), await load(browser, empty.url, 'interactiveMs')];
      if (round < 0) continue;
      loads.push(loaded);
      empties.push(emptied);
    }
    const played = await play(browser, server.url, { steps, H, N, cell });
    const loaded = {
      bytes: loads[0]!.bytes,
      requests: loads[0]!.requests,
      interactiveMs: percentile(loads.map(({ interactiveMs }) => interactiveMs), 50),
      numbersMs: percentile(loads.map(({ numbersMs }) => numbersMs), 50),
      processorMs: percentile(loads.map(({ processorMs }) => processorMs), 50),
      emptyMs: percentile(empties.map(({ interactiveMs }) => interactiveMs), 50),
    };
    print(loaded, played, { steps, H, N, cell });
    writeReport(json, { loaded, played });
  } finally {
    await browser.close();
  }
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '1000' },
      H: { type: 'string', default: '64' },
      N: { type: 'string', default: '1' },
      cell: { type: 'string', default: 'rnn' },
      rounds: { type: 'string', default: '5' },
      json: { type: 'string' },
    },
  });
  const { steps, H, N, cell, rounds, json } = values;
  return { steps: wholeNumber('steps', steps), H: wholeNumber('H', H), N: wholeNumber('N', N), rounds: wholeNumber('rounds', rounds), cell, json };
}

/** Opens the page in a window with nothing stored. @param last what is found there at last */
async function load(browser: Browser, url: string, last: 'interactiveMs' | 'numbersMs'): Promise<Loaded> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const processorMs = await processorClock(page);
  await page.addInitScript(() => {
    const found = { interactiveMs: 0, numbersMs: 0 };
    Object.assign(globalThis, { found });
    // What is posted before a frame is received behind it: by then what was found has been laid out and painted.
    const afterFrame = (callback: () => void) => {
      const { port1, port2 } = new MessageChannel();
      port1.addEventListener('message', callback);
      port1.start();
      requestAnimationFrame(() => port2.postMessage(0));
    };
    const observer = new MutationObserver(() => {
      const note = (name: keyof typeof found, selector: string) => {
        if (found[name] === 0 && document.querySelector(selector)) afterFrame(() => (found[name] ||= performance.now()));
      };
      note('interactiveMs', '.transport button');
      note('numbersMs', '.equation td');
    });
    observer.observe(document, { childList: true, subtree: true });
  });
  await setTimeout(WINDOW_MS);
  await page.goto(url);
  await page.waitForFunction((name) => (globalThis as unknown as { found: Record<typeof name, number> }).found[name] > 0, last);
  const measured = await page.evaluate(() => {
    const files = performance.getEntriesByType('resource').filter(({ name }) => name.includes('/app/')) as PerformanceResourceTiming[];
    const all = [...files, ...(performance.getEntriesByType('navigation') as PerformanceResourceTiming[])];
    const bytes = all.reduce((sum, { transferSize }) => sum + transferSize, 0);
    const { found } = globalThis as unknown as { found: { interactiveMs: number; numbersMs: number } };
    return { bytes, requests: all.length, ...found };
  });
  const spent = await processorMs();
  await context.close();
  return { ...measured, processorMs: spent };
}

/** @returns the processor time that the main thread of the page has taken */
async function processorClock(page: Page): Promise<() => Promise<number>> {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  return async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return 1000 * metrics.find(({ name }) => name === 'TaskDuration')!.value;
  };
}

/** Plays, and looks at the times between the frames. */
async function play(browser: Browser, url: string, { steps, H, N, cell }: { steps: number; H: number; N: number; cell: string }): Promise<Played> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(url);
  await page.locator('.equation').waitFor();
  await page.locator('.segments button').nth(['rnn', 'gru', 'lstm'].indexOf(cell)).click();
  for (const [name, size] of [['N', N], ['D', 1], ['H', H]] as const) await chooseSize(page, name, size);
  await page.locator('.transport select').selectOption(String(STEPS_PER_SECOND));
  const first = await stepOf(page);
  const processorMs = await processorClock(page);
  const before = await processorMs();
  const frames = await page.evaluate(
    ({ last }) =>
      new Promise<number[]>((resolve) => {
        const times: number[] = [];
        const frame = (ms: number) => {
          times.push(ms);
          const shown = Number(/\d+/.exec(document.querySelector('.position')!.textContent)?.[0]);
          if (shown < last) requestAnimationFrame(frame);
          else resolve(times);
        };
        document.querySelector<HTMLButtonElement>('.transport .primary')!.click();
        requestAnimationFrame(frame);
      }),
    { last: first + steps },
  );
  const spent = (await processorMs()) - before;
  await page.close();
  const gaps = frames.slice(1).map((ms, k) => ms - frames[k]!);
  return {
    steps,
    framesPerSecond: (1000 * gaps.length) / (frames.at(-1)! - frames[0]!),
    slowFrames: gaps.filter((ms) => ms > SLOW_FRAME_MS).length / gaps.length,
    p99Ms: percentile(gaps, 99),
    longestMs: Math.max(...gaps),
    processorMs: spent / gaps.length,
  };
}

/** As a person moves the slider, until the number beside it is the size. */
async function chooseSize(page: Page, name: string, size: number): Promise<void> {
  const slider = page.locator('label.size', { hasText: `${name} =` }).locator('input');
  for (let value = 0; ; value++) {
    await slider.fill(String(value));
    if ((await slider.getAttribute('aria-valuetext')) === String(size)) break;
  }
  const shape = name === 'N' ? '.matrix[data-name="x_t"]' : '.matrix[data-name^="W_"]';
  await page.locator(shape, { hasText: String(size) }).first().waitFor();
}

async function stepOf(page: Page): Promise<number> {
  return Number(/\d+/.exec(await page.locator('.position').innerText())![0]);
}

function print(loaded: Loaded & { readonly emptyMs: number }, played: Played, { steps, H, N, cell }: { steps: number; H: number; N: number; cell: string }): void {
  const rows = [
    ['first load, bytes', loaded.bytes, `< ${TARGETS.bytes}`, loaded.bytes < TARGETS.bytes],
    ['controls answer, ms', Math.round(loaded.interactiveMs), `< ${TARGETS.interactiveMs}`, loaded.interactiveMs < TARGETS.interactiveMs],
    ['an empty page with one button, ms', Math.round(loaded.emptyMs), '', true],
    ['numbers are there, ms', Math.round(loaded.numbersMs), '', true],
    ['processor until then, ms', Math.round(loaded.processorMs), '', true],
    ['frames a second', played.framesPerSecond.toFixed(1), `≥ ${TARGETS.framesPerSecond}`, played.framesPerSecond >= TARGETS.framesPerSecond],
    [`frames above ${SLOW_FRAME_MS} ms`, `${(100 * played.slowFrames).toFixed(2)} %`, `≤ ${100 * TARGETS.slowFrames} %`, played.slowFrames <= TARGETS.slowFrames],
    ['p99 of a frame, ms', played.p99Ms.toFixed(1), '', true],
    ['longest frame, ms', played.longestMs.toFixed(1), '', true],
    ['processor of a frame, ms', played.processorMs.toFixed(1), '', true],
  ] as const;
  console.log(`The page in ${loaded.requests} requests; ${steps} steps of ${cell}, N=${N}, H=${H}, at ${STEPS_PER_SECOND} a second`);
  console.log(formatTable([['', 'measured', 'target', ''], ...rows.map(([name, value, target, isMet]) => [name, String(value), target, isMet ? '' : 'missed'])]));
  if (rows.some(([, , , isMet]) => !isMet)) process.exitCode = 1;
}
