// Compiles the AssemblyScript kernels when they are stale: `node src/kernels/build.ts`.
//
// Fresh means: build/kernels.wasm exists and build/kernels.key holds the digest of every source, of
// asconfig.json and of the compiler's version. A production install has no compiler; it ships the
// built file and is therefore never stale.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generatePowers } from './generate-powers.ts';
import { generateTiles } from './generate-tiles.ts';

const folder = import.meta.dirname;
const outputFolder = join(folder, 'build');
const wasmFile = join(outputFolder, 'kernels.wasm');
const keyFile = join(outputFolder, 'kernels.key');

const key = keyOfSources();
if (!existsSync(wasmFile) || !existsSync(keyFile) || readFileSync(keyFile, 'utf8') !== key) {
  await compile();
  writeFileSync(keyFile, key);
}

function keyOfSources(): string {
  const hash = createHash('sha256');
  const sources = readdirSync(folder).filter((name) => /\.(ts|json)$/.test(name));
  for (const name of sources.toSorted()) {
    hash.update(`${name}\0`).update(readFileSync(join(folder, name))).update('\0');
  }
  const manifest = JSON.parse(readFileSync(join(folder, '../../package.json'), 'utf8'));
  return hash.update(manifest.devDependencies.assemblyscript).digest('hex');
}

async function compile(): Promise<void> {
  mkdirSync(outputFolder, { recursive: true });
  writeFileSync(join(outputFolder, 'tiles.ts'), generateTiles());
  writeFileSync(join(outputFolder, 'powers.ts'), generatePowers());
  const asc = await import('assemblyscript/asc').catch(() => {
    console.error('The kernels are not built and the compiler is not installed: run `npm ci`.');
    process.exit(1);
  });
  const { error } = await asc.main(
    [join(folder, 'index.ts'), '--config', join(folder, 'asconfig.json'), '--outFile', wasmFile],
    { stderr: process.stderr },
  );
  if (error) process.exit(1);
}
