// What a service is told of a common machine in place of measuring its own: measuring takes as long as many tests, and a
// dispatch cannot be measured without workers, of which most tests need none (AppOverrides).
import type { AppOverrides } from '../../src/app-overrides.ts';

export const KNOWN_SPEEDS = {
  dispatchMs: 0.05,
  memorySpeeds: [
    { bytesMax: 4 * 2 ** 20, bytesPerMs: Infinity },
    { bytesMax: Infinity, bytesPerMs: 8e6 },
  ],
} satisfies AppOverrides;
