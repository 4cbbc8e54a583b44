// BASE_PATH and PUBLIC_URL: under which address clients reach the service, where a gateway gives it another than its own.
import { SettingError } from './setting-error.ts';

/** First segments of the service's own paths, those of its routes. Behind one of these, a path would have two meanings. */
export const OWN_SEGMENTS: readonly string[] = ['v1', 'v2', 'docs', 'health', 'problems', 'clients', 'app', 'openapi.json'];

/** Unreserved characters only (RFC 3986, section 2.3), which have one spelling in an address. */
const PATH = /^(\/[\w.~-]+)+$/;

/** `/ml/rnn` for a service behind that path; empty for none. @throws SettingError if it is no such path */
export function readBasePath(setting: string): string {
  if (setting === '') return '';
  const segments = setting.split('/').slice(1);
  if (!PATH.test(setting) || segments.some((segment) => segment === '.' || segment === '..')) {
    throw new SettingError(
      'must be a path like `/ml/rnn`, which begins with a slash and does not end with one, of letters, digits and -._~, ' +
        `got ${JSON.stringify(setting)}`,
    );
  }
  if (OWN_SEGMENTS.includes(segments[0]!)) {
    throw new SettingError(`must not begin like the service's own paths, /${OWN_SEGMENTS.join(', /')}, got ${JSON.stringify(setting)}`);
  }
  return setting;
}

export interface PublicUrl {
  /** `https://example.org`. */
  readonly origin: string;
  /** As readBasePath gives it. */
  readonly path: string;
}

/** Undefined if it is empty. @throws SettingError if it is no address of a service */
export function readPublicUrl(setting: string): PublicUrl | undefined {
  if (setting === '') return undefined;
  const url = URL.canParse(setting) ? new URL(setting) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username + url.password + url.search + url.hash !== '') {
    throw new SettingError(
      'must be an address like `https://example.org/ml/rnn`, without user, query and fragment, got ' +
        JSON.stringify(setting.replace(/\/\/.*@/, '//…@')),
    );
  }
  return { origin: url.origin, path: readBasePath(url.pathname === '/' ? '' : url.pathname) };
}
