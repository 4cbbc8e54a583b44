// The addresses of the service as its clients have them. Behind a gateway they begin with a path, BASE_PATH, which the
// gateway strips from requests or not. It is removed once, when a request enters: all that follows knows the service's own
// paths. What is sent gets it again here.
import type { ErrorCode } from '../error-kinds.ts';
import type { PublicUrl } from '../settings/public-address.ts';

declare module 'fastify' {
  interface FastifyInstance {
    publicAddress: PublicAddress;
  }
}

const SLASH = 47;
/** Where the path ends and the query begins, or where the next segment begins. */
const AFTER_PATH = ['', '/', '?'];
/** Scheme and authority of a target in absolute form (RFC 9112, section 3.2.2). */
const AUTHORITY = /^https?:\/\/([^/?]*)/i;

export class PublicAddress {
  /** `/ml/rnn`, or empty. */
  readonly basePath: string;
  /** By which clients reach the service; undefined if it is not configured. */
  readonly url: string | undefined;
  /** `https://example.org`, of that address. */
  readonly origin: string | undefined;
  readonly #segments: readonly string[];

  constructor(basePath: string, publicUrl: PublicUrl | undefined) {
    this.basePath = publicUrl?.path ?? basePath;
    this.url = publicUrl && publicUrl.origin + publicUrl.path;
    this.origin = publicUrl?.origin;
    this.#segments = this.basePath.split('/');
  }

  /** The path by which a client finds `path`, one of the service's own: right at whatever host it called. */
  pathOf(path: string): string {
    return this.basePath + path;
  }

  /** The `type` of a problem (RFC 9457): with PUBLIC_URL the same address for all clients, else a path. */
  problemType(code: ErrorCode): string {
    return `${this.url ?? this.basePath}/problems#${code}`;
  }

  /** Where operations of the OpenAPI document are: at PUBLIC_URL, and where the document came from. */
  get servers(): readonly { readonly url: string; readonly description?: string }[] {
    const here = { url: this.basePath || '/' };
    return this.url === undefined ? [here] : [{ url: this.url }, { ...here, description: 'Where this document is' }];
  }

  /** The target of a request as one of the service's own paths, with its query. */
  ownPath(target: string): string {
    const path = target.charCodeAt(0) === SLASH ? target : withoutAuthority(target);
    if (this.basePath === '') return path;
    const end = path.startsWith(this.basePath) ? this.basePath.length : this.#endOfBase(path);
    if (end === undefined || !AFTER_PATH.includes(path.charAt(end))) return path;
    return path.charAt(end) === '/' ? path.slice(end) : `/${path.slice(end)}`;
  }

  /** Where the base path ends that is written with escapes: `/%6Dl/rnn` is the same path as `/ml/rnn`. */
  #endOfBase(path: string): number | undefined {
    if (!path.includes('%')) return undefined;
    const segments = path.split('?', 1)[0]!.split('/').slice(0, this.#segments.length);
    const isBase = this.#segments.every((segment, i) => decoded(segments[i]) === segment);
    return isBase ? segments.join('/').length : undefined;
  }
}

/** The host that a target in absolute form names, which counts and not the Host header (RFC 9112, section 3.2.2). */
export function authorityOf(target: string): string | undefined {
  return target.charCodeAt(0) === SLASH ? undefined : AUTHORITY.exec(target)?.[1];
}

function withoutAuthority(target: string): string {
  const [authority] = AUTHORITY.exec(target) ?? [];
  if (authority === undefined) return target;
  const rest = target.slice(authority.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function decoded(segment: string | undefined): string | undefined {
  try {
    return segment && decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
