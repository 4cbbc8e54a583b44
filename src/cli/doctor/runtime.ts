// Node.js, and the kernels in it.
import { NEEDED, isSupported, refusal } from '../../node-version.mjs';
import { selfTest } from '../../wasm/self-test.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { openKernels } from '../kernels.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** Before this version of Node.js 24 the service takes no WebSockets; see http/plugins/websocket.ts. */
const WEBSOCKETS_SINCE = [24, 9] as const;

export function checkNode(version = process.versions.node): Finding {
  const name = 'Node.js';
  if (!isSupported(version)) return fail(name, refusal(version), `Install Node.js ${NEEDED[0]} or newer.`, EXIT.config);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major === WEBSOCKETS_SINCE[0] && minor < WEBSOCKETS_SINCE[1]) {
    return warn(
      name,
      version,
      `The service takes no WebSockets: install Node.js ${WEBSOCKETS_SINCE.join('.')} or newer for them.`,
    );
  }
  return ok(name, `${version}, ${process.platform} ${process.arch}`);
}

/** Their vectors, and the self-test of the start with its time. */
export async function checkKernels(io: Pick<Io, 'buildKernels'>): Promise<Finding> {
  const name = 'kernels';
  await io.buildKernels();
  const startMs = performance.now();
  try {
    const { kernels, memory, path } = openKernels();
    selfTest(kernels, memory);
    const tested = `the bits of the reference, self-test ${Math.round(performance.now() - startMs)} ms`;
    if (path === 'simd256') return ok(name, `256-bit vectors, ${tested}`);
    const advice =
      'On x86-64 under Node.js 24 or 26 the vectors have 256 bits, which is up to twice as fast; the bits are the same.';
    return warn(name, `128-bit vectors, ${tested}`, advice);
  } catch (error) {
    return fail(
      name,
      (error as Error).message,
      'The service does not start here. Build the kernels again with `npm run build`.',
      EXIT.software,
    );
  }
}
