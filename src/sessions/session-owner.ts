// Whose a session is. Its id says so: the ids of a tenant begin with a prefix that is computed from the tenant's name,
//
//   <16 characters of SHA-256 of the tenant's name, base64url> . <22 random characters>
//
// and those of the default tenant have none. So a foreign id is refused before anything is looked up, also where the
// record is damaged, has ended or was never there; and the sessions of a tenant stand side by side in the order of ids.
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { DEFAULT_TENANT, type Tenant } from '../tenant.ts';
import { sessionNotFound } from './session-not-found.ts';

/** 96 bits: nobody can choose a name whose prefix is that of another tenant. */
const TAG_CHARACTERS = 16;
/** No random part has it. */
const SEPARATOR = '.';

/** Prefixes by tenant: computing one takes 1 µs. */
const prefixes = new LRUCache<string, string>({ max: 1_024 });

/** What the ids of the tenant's sessions begin with; '' of the default tenant. */
export function idPrefixOf(tenant: Tenant): string {
  if (tenant === undefined || tenant === DEFAULT_TENANT) return '';
  let prefix = prefixes.get(tenant);
  if (prefix === undefined) {
    const tag = createHash('sha256').update(`tenant/${tenant}`).digest('base64url').slice(0, TAG_CHARACTERS);
    prefix = `${tag}${SEPARATOR}`;
    prefixes.set(tenant, prefix);
  }
  return prefix;
}

/** The prefix of this id; '' if it has none. */
export function prefixIn(id: string): string {
  return id.slice(0, id.indexOf(SEPARATOR) + 1);
}

/** Of the characters of ids the one that follows SEPARATOR in the order of their codes. */
const AFTER_SEPARATOR = '0';

/** Comes after all ids with the prefix in the order of ids, and before all others that follow them. */
export function endOfPrefix(prefix: string): string {
  return prefix.slice(0, -1) + AFTER_SEPARATOR;
}

/** Whether a request of the tenant may know that there is a session with this id. */
export function isOwnedBy(id: string, tenant: Tenant): boolean {
  return tenant === undefined || prefixIn(id) === idPrefixOf(tenant);
}

/** @throws session_not_found, as where there is no such session */
export function expectOwnedBy(id: string, tenant: Tenant): void {
  if (!isOwnedBy(id, tenant)) throw sessionNotFound(id);
}
