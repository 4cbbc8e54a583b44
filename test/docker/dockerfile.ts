// Replays a Dockerfile without an engine: each stage is a folder, and RUN really runs in it.
//
// Only the part of the language that our Dockerfile uses; anything else is an error, not a guess.
import { execFile } from 'node:child_process';
import { cp, mkdir, stat } from 'node:fs/promises';
import { basename, delimiter, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';

/** The folder from which COPY copies. */
export const CONTEXT = join(import.meta.dirname, '../..');
/** The Node under test comes first, whatever the system has. */
export const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
export const IS_ROOT = process.getuid?.() === 0;

const run = promisify(execFile);

interface Step {
  readonly name: string;
  readonly text: string;
}

interface Stage {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** What a stage has become, and how a container of it starts. */
export interface Image {
  readonly root: string;
  readonly env: Record<string, string>;
  workdir: string;
  cmd: readonly string[];
  healthcheck: readonly string[];
}

type Ignore = (path: string) => boolean;

/** Steps before the first FROM (global ARGs) serve to choose a base, and there is none here. */
export function readStages(dockerfile: string): Stage[] {
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

export function problemsOf(stages: readonly Stage[]): string[] {
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

/** How a container of the final stage starts, and how its health is checked. */
export function startOf(stages: readonly Stage[]): Pick<Image, 'cmd' | 'healthcheck'> {
  const last = (name: string) => stages.at(-1)?.steps.findLast((step) => step.name === name)?.text ?? '';
  return { cmd: execForm(last('CMD')) ?? [], healthcheck: execForm(afterOptions(last('HEALTHCHECK'))) ?? [] };
}

function execForm(text: string): readonly string[] | undefined {
  return text.startsWith('[') ? JSON.parse(text) : undefined;
}

/** `--interval=10s CMD […]` → `[…]` */
function afterOptions(healthcheck: string): string {
  return healthcheck.replace(/^(--\S+\s+)*CMD\s+/, '');
}

/** @returns the final stage's image, its root below `folder` */
export async function replay(stages: readonly Stage[], folder: string, ignored: Ignore): Promise<Image> {
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
  const sourceRoot = stage === undefined ? CONTEXT : images.get(stage)?.root;
  if (sourceRoot === undefined) throw new Error(`COPY ${words.join(' ')}: there is no such stage`);
  const target = join(image.root, image.workdir, paths.at(-1) ?? '');
  for (const path of paths.slice(0, -1)) {
    const source = join(sourceRoot, path);
    const isFolder = (await stat(source)).isDirectory();
    const copied = isFolder ? target : join(target, basename(path));
    if (stage !== undefined) {
      // Thousands of files, all of them wanted. Links, as nothing writes to an earlier stage any more.
      await run('cp', ['-RTl', source, copied]);
      continue;
    }
    const filter = (file: string) => !ignored(relative(CONTEXT, file));
    if (!filter(source)) throw new Error(`COPY ${path}: .dockerignore keeps it from the builder`);
    await cp(source, copied, { recursive: true, filter });
  }
}

async function runStep(command: string, { root, workdir, env }: Image): Promise<void> {
  const offline = command.startsWith('npm ') ? ' --prefer-offline' : '';
  // Only root may give a folder away.
  const possible = IS_ROOT ? command : command.replace(/ -o \d+ -g \d+/, '');
  // The test's own NODE_ENV must not reach npm: it decides what is installed.
  const { NODE_ENV: _, ...inherited } = process.env;
  await run('/bin/sh', ['-c', possible.replace(/^npm \S+/, `$&${offline}`)], {
    cwd: join(root, workdir),
    env: { ...inherited, PATH, ...env },
    timeout: 120_000,
  }).catch((error: { message: string; stdout: string }) => {
    const hint = offline && '; npm needs its registry or a filled cache';
    throw new Error(`RUN ${command} failed${hint}.\n${error.message}\n${error.stdout}`);
  });
}

/** The last pattern that matches a path or a folder above it decides. */
export function readIgnore(text: string): Ignore {
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
