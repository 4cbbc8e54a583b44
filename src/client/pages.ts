// Lists that the service answers in pages.
import { parseJson } from './json.ts';
import { unreadable } from './problem.ts';
import type { Transport } from './transport.ts';

/** The entries of all pages, each asked for when the one before has been read. @throws CarryoverError */
export async function* pages<Entry>(
  transport: Transport,
  path: string,
  member: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Entry, void, undefined> {
  let cursor: string | undefined;
  do {
    const parameters = new URLSearchParams({ ...query, ...(cursor !== undefined && { cursor }) });
    const { bytes } = await transport.send({ method: 'GET', path: `${path}?${parameters}`, signal });
    const page = parseJson(bytes) as Record<string, unknown> | null;
    const entries = page?.[member];
    if (!Array.isArray(entries)) throw unreadable(`a list without ${member}`);
    yield* entries as Entry[];
    cursor = typeof page?.['next'] === 'string' ? page['next'] : undefined;
  } while (cursor !== undefined);
}
