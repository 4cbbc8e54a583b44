// What helpers start is closed when its test file ends, also if a test fails. A hook of the helper would not do: files
// that share a process (vitest.config.ts) load it once, and the hook would be that of the first file. setup.ts, which
// vitest runs for each file, has the hook.
type Close = () => unknown;

const open = new Set<Close>();

/** Has something closed when the test file ends. @returns to be called if it is closed before */
export function closeAtEnd(close: Close): () => void {
  open.add(close);
  return () => void open.delete(close);
}

export async function closeAll(): Promise<void> {
  // What was opened later may use what was opened before it.
  const all = [...open].toReversed();
  open.clear();
  await Promise.all(all.map((close) => close()));
}
