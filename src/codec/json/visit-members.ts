// A walk through the members of all objects within a JSON value.

/**
 * Calls `visit` for each member, at whatever depth. The containers still to be visited are a list and not a
 * recursion, so hostile nesting does not exhaust the stack.
 *
 * @param visit is given the object, too; returns false if the member's value must not be walked into
 */
export function visitMembers(
  value: unknown,
  visit: (key: string, member: unknown, object: Record<string, unknown>) => boolean,
): void {
  const pending = [value];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== 'object' || next === null) continue;
    if (Array.isArray(next)) {
      // The rows of a tensor are most of a body's values, and hold numbers.
      for (const item of next) if (typeof item === 'object') pending.push(item);
      continue;
    }
    const object = next as Record<string, unknown>;
    for (const key of Object.keys(object)) {
      const member = object[key];
      if (visit(key, member, object) && typeof member === 'object') pending.push(member);
    }
  }
}
