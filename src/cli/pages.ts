// Lists that a service answers a page at a time.
import type { Service } from './service.ts';

const PAGE_LENGTH = '1000';
/** More than any service has; a service that never ends its list is not followed for ever. */
const PAGES_MAX = 10_000;

/** All entries of a list. @param field the member of a page that has its entries */
export async function eachPage<Entry>(
  service: Service,
  path: string,
  field: string,
  query: Readonly<Record<string, string | undefined>> = {},
): Promise<Entry[]> {
  const all: Entry[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await service.json<Record<string, unknown>>(path, { query: { ...query, limit: PAGE_LENGTH, cursor } });
    all.push(...(answer[field] as Entry[]));
    cursor = answer['next'] as string | undefined;
    if (cursor === undefined) break;
  }
  return all;
}
