// What some tests need beyond Node.js and npm. Where it is missing they are skipped, the reason stands in
// the name of what is skipped, and report-skips.ts repeats it at the end of the run; with CI=true a skip fails it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';

interface Need {
  readonly isThere: () => boolean;
  /** What to do about it. */
  readonly remedy: string;
}

const debian = (program: string, packageName = program): Need => ({
  isThere: () => programPath(program) !== undefined,
  remedy: `apt-get install ${packageName}`,
});

/** Preloaded into a process, it moves the clock. The command `faketime` would not pass signals on. */
export const [LIBFAKETIME] = globSync('/usr/lib/*/faketime/libfaketime.so.1');

const NEEDS = {
  chromium: { isThere: () => chromiumPath() !== undefined, remedy: 'apt-get install chromium-headless-shell' },
  curl: debian('curl'),
  faketime: { isThere: () => LIBFAKETIME !== undefined, remedy: 'apt-get install faketime' },
  linux: { isThere: () => process.platform === 'linux', remedy: 'run on Linux, for /proc' },
  mount: { isThere: canMount, remedy: 'run as a user who may mount a tmpfs' },
  nginx: debian('nginx', 'nginx-light, and /usr/sbin on the PATH'),
  openssl: debian('openssl'),
  python3: debian('python3'),
  'python3-numpy': { isThere: () => pythonWithNumpy() !== undefined, remedy: 'apt-get install python3-numpy' },
  'redis-server': debian('redis-server'),
  script: debian('script', 'bsdutils'),
  strace: {
    isThere: () => spawnSync('strace', ['-f', '--seccomp-bpf', '-o', '/dev/null', 'true']).status === 0,
    remedy: 'apt-get install strace, where ptrace is permitted',
  },
} satisfies Record<string, Need>;

/**
 * A group of tests that need something. Where that is missing its body is not run, for a body may start
 * servers though its tests are skipped; one skipped test stands for all.
 */
export function describeWith(
  needs: keyof typeof NEEDS | readonly (keyof typeof NEEDS)[],
  name: string,
  body: () => void | Promise<void>,
): void {
  const missing = [needs].flat().filter((need) => !NEEDS[need].isThere());
  const reasons = missing.map((need) => `no ${need} (${NEEDS[need].remedy})`);
  if (missing.length === 0) describe(name, body);
  else describe(name, () => test.skip(reasons.join(', '), () => {}));
}

/** Where a program is found on the PATH. */
export function programPath(program: string): string | undefined {
  const files = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program));
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The build without windows takes half of the processor time. */
export function chromiumPath(): string | undefined {
  return programPath('chromium-headless-shell') ?? programPath('chromium');
}

/** A Python with NumPy: the first on the PATH, or else that of Debian. */
export function pythonWithNumpy(): string | undefined {
  return ['python3', '/usr/bin/python3'].find((python) => spawnSync(python, ['-c', 'import numpy']).status === 0);
}

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-mount-'));
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]).status === 0;
  if (isMounted) spawnSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true });
  return isMounted;
}
