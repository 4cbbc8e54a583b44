// If-Match: `*`, or a list of entity tags (RFC 9110, 13.1.1 and 8.8.3). The libraries for ETags make tags, or
// compare If-None-Match for a cache; none parses If-Match strictly, and it is no structured field.
import { invalidRequest } from '../../errors.ts';
import type { IfMatch } from '../../sessions/call.ts';

/** One tag with what stands around it; a list may have empty elements. */
const TAG = /[\s,]*((?:W\/)?"[!#-~\u0080-\u00ff]*")[ \t]*(?=,|$)/y;

/** Node.js accepts no longer header; the `if_match` of a message could be as long as a body. */
const TEXT_LENGTH_MAX = 16 * 1024;

/**
 * The tags as they were written. Weak ones are kept: they equal no ETag of a session, which are strong.
 *
 * @param name and pointer: where the list stands, for the error
 * @throws invalid_request
 */
export function readIfMatch(
  text: string | undefined,
  name: string,
  pointer: string,
): IfMatch | undefined {
  if (text === undefined) return undefined;
  if (text.trim() === '*') return '*';
  const tags = text.length > TEXT_LENGTH_MAX ? [] : tagsOf(text);
  if (tags.length > 0) return tags;
  throw invalidRequest(
    `Expected ${name} to be \`*\` or ETags of this session as they were answered, each in its ` +
      `quotation marks, several separated by commas, got ${JSON.stringify(text.slice(0, 80))}.`,
    pointer,
    // No earlier attempt can have been applied either.
    'no',
  );
}

/** Empty if the text is not a list of tags. */
function tagsOf(text: string): string[] {
  const tags: string[] = [];
  let end = 0;
  while (/[^\s,]/.test(text.slice(end))) {
    TAG.lastIndex = end;
    const tag = TAG.exec(text)?.[1];
    if (tag === undefined) return [];
    tags.push(tag);
    end = TAG.lastIndex;
  }
  return tags;
}
