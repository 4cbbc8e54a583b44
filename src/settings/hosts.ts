// ALLOWED_HOSTS: the host names by which the service may be addressed.
import { SettingError, listOf } from './setting-error.ts';

export interface AllowedHost {
  /** In lower case, an international name in ASCII; an IPv6 address in brackets. */
  readonly name: string;
  /** Undefined for every port. */
  readonly port: string | undefined;
}

/** Whatever the request names. */
export const ANY_HOST = '*';

/** A host name or an address, and a port. */
const HOST = /^(\[[\da-f:.]+\]|[^\s:/?#@[\]\\*]+)(?::(\d{1,5}))?$/i;

/** Undefined unless it has the form of the Host header. */
export function parseHost(text: string): AllowedHost | undefined {
  const [, host, port] = HOST.exec(text) ?? [];
  const address = `http://${host}`;
  if (host === undefined || !URL.canParse(address)) return undefined;
  // `example.org.` is the same name, said to be complete.
  return { name: new URL(address).hostname.replace(/\.$/, ''), port };
}

/** Whether only this machine reaches what listens there. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || /^(::ffff:)?127\.|^::1$/.test(host);
}

/** Where to listen for it. For localhost Fastify would also listen on ::1, with a second server whose connections are not tracked. */
export function addressOfHost(setting: string): string {
  return setting === 'localhost' ? '127.0.0.1' : setting;
}

/** @throws SettingError naming every entry that is no host */
export function readHosts(setting: string): readonly AllowedHost[] | typeof ANY_HOST {
  const entries = listOf(setting);
  if (entries.length === 1 && entries[0] === ANY_HOST) return ANY_HOST;
  const hosts = entries.map((entry) => ({ entry, host: parseHost(entry) }));
  const wrong = hosts.filter(({ host }) => host === undefined).map(({ entry }) => JSON.stringify(entry));
  if (wrong.length === 0) return hosts.map(({ host }) => host!);
  const expected = 'must be names like `carryover.example.org`, with a port or without, or `*` alone';
  throw new SettingError(`${expected}, got ${wrong.join(' and ')}: leave out scheme and path, and list each name`);
}
