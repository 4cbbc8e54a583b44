// The members of all objects within a JSON value.

/**
 * Calls `visit` for each, whatever the depth: a list of its own costs no stack. What it returns false for
 * is not looked into.
 */
export function visitMembers(
  value: unknown,
  visit: (key: string, member: unknown) => boolean | void,
): void {
  const pending = [value];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== 'object' || next === null) continue;
    if (Array.isArray(next)) {
      // A tensor's rows hold numbers only; nothing in them can be an object.
      for (const item of next) if (typeof item === 'object') pending.push(item);
      continue;
    }
    for (const key of Object.keys(next)) {
      const member = (next as Record<string, unknown>)[key];
      if (visit(key, member) !== false && typeof member === 'object') pending.push(member);
    }
  }
}
