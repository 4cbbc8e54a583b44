// Parses STORE_URL for Redis: where the server is, and with which credentials.
//
//   redis://[user:password@]host[:port][/db]     rediss:// for TLS
//   ?cluster=true                                a cluster that this node belongs to
//   ?cluster=host:port,host:port                 the same, with further nodes to discover it by
//   ?ca=/path/ca.pem                             the authority that TLS trusts, instead of the system's
import { readFileSync } from 'node:fs';
import { SettingError } from './setting-error.ts';

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export interface RedisAddress {
  /** The server; of a cluster the nodes by which it is discovered. */
  readonly nodes: readonly RedisNode[];
  readonly isCluster: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  readonly tls: { readonly ca?: string } | undefined;
  /** `host:port, …` for messages, without the credentials. */
  readonly text: string;
}

const FORM = 'redis://[user:password@]host[:port][/db][?cluster=true]';
const PORT = 6379;
const ENCODED =
  'In user and password the characters : / ? # [ ] @ % must be percent-encoded, e.g. p@ss as p%40ss';

/**
 * @param url `redis://…` or `rediss://…`
 * @throws SettingError with one line, which does not contain the password
 */
export function parseRedisUrl(url: string): RedisAddress {
  // new URL() would quote the whole URL in its error, with the password.
  const parsed = URL.parse(url);
  if (!parsed || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '') {
    throw new SettingError(`is not of the form ${FORM} (or rediss:// for TLS). ${ENCODED}`);
  }
  // An unencoded / ? or # in a password ends the authority of a URL, so that the @ comes later.
  if (`${parsed.pathname}${parsed.search}`.includes('@') || parsed.hash !== '') {
    throw new SettingError(`has an @ or a # after its host. ${ENCODED}`);
  }
  const query = readQuery(parsed.searchParams);
  const isTls = parsed.protocol === 'rediss:';
  if (query.ca !== undefined && !isTls) throw new SettingError('must begin with rediss:// where it has ?ca=');
  const node = { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(parsed.port || PORT) };
  const seeds = query.cluster === undefined || query.cluster === 'true' ? '' : query.cluster;
  const nodes = [node, ...seeds.split(',').filter(Boolean).map(parseNode)];
  const isCluster = query.cluster !== undefined;
  const db = parseDb(parsed.pathname, isCluster);
  return {
    nodes,
    isCluster,
    username: decode(parsed.username),
    password: decode(parsed.password),
    db,
    tls: isTls ? { ...(query.ca !== undefined && { ca: readAuthority(query.ca) }) } : undefined,
    text: nodes.map(({ host, port }) => `${host}:${port}`).join(', '),
  };
}

function readQuery(params: URLSearchParams): { cluster?: string; ca?: string } {
  for (const name of params.keys()) {
    if (name !== 'cluster' && name !== 'ca') {
      throw new SettingError(`has ?${name}=, which is not known, expected ?cluster= or ?ca=`);
    }
  }
  const cluster = params.get('cluster');
  const ca = params.get('ca');
  return { ...(cluster !== null && { cluster }), ...(ca !== null && { ca }) };
}

function readAuthority(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = (error as Error).message;
    throw new SettingError(`names a file by ?ca= that cannot be read: ${reason}`, { cause: error });
  }
}

function parseNode(text: string): RedisNode {
  const parsed = URL.parse(`redis://${text}`);
  if (!parsed?.hostname) {
    throw new SettingError('has a ?cluster= that is neither true nor a list of host:port');
  }
  return { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(parsed.port || PORT) };
}

function parseDb(pathname: string, isCluster: boolean): number {
  const digits = /^\/(\d{1,5})?$/.exec(pathname || '/');
  if (!digits) throw new SettingError('must have the number of a database behind the host, e.g. /0, or nothing');
  const db = Number(digits[1] ?? 0);
  if (isCluster && db !== 0) throw new SettingError('names another database than 0, the only one of a Redis cluster');
  return db;
}

function decode(text: string): string | undefined {
  if (text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new SettingError(`has a % in the user or password that begins no percent-encoding. ${ENCODED}`);
  }
}

/** STORE_URL, of whichever store. @throws SettingError if it is an address of Redis that is not understood */
export function checkStoreUrl(setting: string): void {
  if (/^rediss?:/.test(setting)) parseRedisUrl(setting);
}
