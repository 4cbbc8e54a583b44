// The client as others install it: the tarball of the package, in a folder that has nothing else.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { IS_LONG, sized } from '../helpers/long.ts';
import { type RunningServer, startQuickly } from '../helpers/process.ts';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'carryover-package-'));
const installed = join(folder, 'node_modules/carryover');

let server: RunningServer;
beforeAll(async () => {
  server = await startQuickly();
  // With its script prepack, which makes the files; in the short form `npm test` has made all but the types.
  const options = sized({ short: ['--ignore-scripts'], long: [] });
  if (!IS_LONG) execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'src/client/tsconfig.json'], { cwd: root });
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, ...options], { cwd: root });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, tarball), '--strip-components=1', '-C', installed]);
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

test('it has the client with its types, and needs nothing else', () => {
  const files = readdirSync(join(installed, 'src/build/client'));
  expect(files).toEqual(expect.arrayContaining(['index.js', 'index.d.ts']));
  for (const file of files.filter((name) => name.endsWith('.js'))) {
    const imported = [...readFileSync(join(installed, 'src/build/client', file), 'utf8').matchAll(/^(?:import|export) .*from '([^']+)'/gm)];
    for (const [, name] of imported) expect(files, `${file} imports ${name}`).toContain(name!.replace('./', ''));
  }
});

test('a program in JavaScript imports it and calls the service', () => {
  const program = `
    import { Carryover, CarryoverError, Tensor } from 'carryover';
    const carryover = new Carryover('${server.url}');
    await using session = await carryover.sessions.create({ model: 'sunspots' });
    for await (const { y, session: { t } } of session.stream([[[0.58]], Tensor.from([[0.61]])])) console.log(t, y.toArray());
    await session.step([[1, 2]]).catch((error) => console.log(error instanceof CarryoverError, error.code));`;
  writeFileSync(join(folder, 'program.mjs'), program);
  const { stdout, stderr } = spawnSync(process.execPath, ['program.mjs'], { cwd: folder, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toBe('1 [ [ 0.6988120675086975 ] ]\n2 [ [ 0.8020901679992676 ] ]\ntrue shape_mismatch\n');
});

/** Each line behind `@ts-expect-error` must not compile; all others must. */
const TYPED = `
import { Carryover, CarryoverError, Tensor, type ModelInfo, type SessionStep } from 'carryover';
const carryover = new Carryover('http://127.0.0.1:8080', { apiKey: 'k', retry: { giveUpMs: 1_000 } });
const model: ModelInfo = await carryover.models.register({ layers: [{ type: 'lstm', W_x: [[1, 2, 3, 4]], W_h: [[1, 2, 3, 4]] }] }, { name: 'm' });
const { h, y } = await carryover.step({ model: model.id, x: [[1]] });
const shape: readonly number[] | undefined = y?.shape;
const first: number = (h as Tensor).at(0, 0);
const session = await carryover.sessions.create({ model: 'm', keep: 2 });
const steps: SessionStep[] = [];
for await (const step of session.stream([[[1]], new Tensor([1, 1], [2])])) steps.push(step);
for await (const item of carryover.streamSequence({ model: 'm', x: [[[1]]] })) if (item.done) console.log(item.c); else console.log(item.h?.data);
await session.step([[1]]).catch((error: unknown) => error instanceof CarryoverError && console.log(error.applied === 'no', error.problem?.detail));
await session[Symbol.asyncDispose]();
console.log(shape, first, steps);

// @ts-expect-error -- a model or weights, and not both
await carryover.step({ model: 'm', weights: { W_x: [[1]], W_h: [[1]] }, x: [[1]] });
// @ts-expect-error -- x is missing
await carryover.step({ model: 'm' });
// @ts-expect-error -- a text is no tensor
await session.step('1');
// @ts-expect-error -- there are no such layers
await carryover.models.register({ layers: [{ type: 'transformer', W: [[1]] }] });
// @ts-expect-error -- W_h is missing
await carryover.models.register({ weights: { W_x: [[1]] } });
// @ts-expect-error -- a misspelt option
await carryover.sessions.create({ model: 'm', keeps: 2 });
// @ts-expect-error -- of a session that has its own model
await session.sequence([[[1]]], { model: 'm' });
// @ts-expect-error -- y may be absent
console.log(y.data);
`;

test.each(sized({ short: ['nodenext'], long: ['nodenext', 'esnext'] }))('a program in TypeScript compiles against its types, and a wrong one does not (module %s)', (module) => {
  writeFileSync(join(folder, 'program.ts'), TYPED);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const resolution = module === 'esnext' ? ['--moduleResolution', 'bundler'] : [];
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,dom', '--types', '', '--module', module, ...resolution];
  const { stdout, status } = spawnSync(join(root, 'node_modules/.bin/tsc'), [...options, 'program.ts'], { cwd: folder, encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});
