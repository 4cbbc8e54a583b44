// CORS_ORIGINS: the web pages that may read answers, by their origins (RFC 6454: scheme, host and port).
import { SettingError, listOf } from './setting-error.ts';

/** Any page. */
export const ANY_ORIGIN = '*';

/**
 * The origins as browsers send them, e.g. `https://app.example.org`; `*` alone for all.
 *
 * @throws SettingError naming every entry that is no origin
 */
export function readOrigins(setting: string): readonly string[] {
  const entries = listOf(setting);
  if (entries.includes(ANY_ORIGIN) && entries.length > 1) {
    throw new SettingError(`must be \`*\` alone, or a list of origins without it, got ${JSON.stringify(setting)}`);
  }
  if (entries[0] === ANY_ORIGIN) return entries;
  const origins = entries.map((entry) => ({ entry, origin: originOf(entry) }));
  const wrong = origins.filter(({ origin }) => origin === undefined).map(({ entry }) => describe(entry));
  if (wrong.length > 0) throw new SettingError(`must be origins like \`https://app.example.org:8443\`, or \`*\`: ${wrong.join('; ')}`);
  return [...new Set(origins.map(({ origin }) => origin!))];
}

/** As a browser writes it: in lower case, an international name in ASCII, without the port of its scheme. */
function originOf(entry: string): string | undefined {
  if (entry.includes('*') || !/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\\\s]+$/i.test(entry) || !URL.canParse(entry)) return undefined;
  const { origin, protocol, host } = new URL(entry);
  // Of a scheme that is not the web's, as of `capacitor://localhost`, URL knows no origin; browsers do.
  return origin === 'null' ? `${protocol}//${host.toLowerCase()}` : origin;
}

function describe(entry: string): string {
  const got = JSON.stringify(entry);
  if (entry === 'null') return `${got} is sent by any page in a sandbox and any file, so it cannot be told from others`;
  if (entry.includes('*')) return `${got} has a \`*\`; list each host`;
  if (URL.canParse(entry)) {
    const { origin, username } = new URL(entry);
    if (origin !== 'null' && username === '') return `${got} has a path; leave it out, and its slash: ${JSON.stringify(origin)}`;
  }
  return `${got} is none`;
}
