// How logs name a session: its id is the key to it, and nothing that is logged may open one.
import { hash } from 'node:crypto';

const SHOWN_DIGITS = 8;

/** The first 8 hex digits of the SHA-256 of an id: enough to follow a session through a log, and no way back to the id. */
export function sessionHash(id: string): string {
  return hash('sha256', id, 'hex').slice(0, SHOWN_DIGITS);
}

/** `session AbC…`, `/v1/sessions/AbC…`: where texts of ours name a session. Ids are 22 characters of base64url. */
const NAMED_SESSION = /(\bsessions?[ /]"?)([\w-]{22})(?![\w-])/gi;

/** The text with the hash of each session that it names. */
export function withoutSessionIds(text: string): string {
  return text.replace(NAMED_SESSION, (_, before: string, id: string) => `${before}#${sessionHash(id)}`);
}
