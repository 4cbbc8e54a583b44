// Which web pages may open a WebSocket. CORS does not restrict them: a browser lets any page connect anywhere, and says in
// the Origin header which page it is (RFC 6455, section 10.2).
import type { IncomingMessage } from 'node:http';
import { CarryoverError } from '../../errors.ts';
import { hostOf } from '../allowed-hosts.ts';
import type { Cors } from '../cors.ts';
import type { PublicAddress } from '../public-address.ts';

/** How much of an origin is repeated. */
const SHOWN_CHARACTERS_MAX = 100;

/**
 * A client without an Origin is no browser, and passes. A page passes if it is of the service's own origin, as its Host
 * header or PUBLIC_URL says, or if CORS_ORIGINS has it.
 *
 * @throws origin_not_allowed
 */
export function expectAllowedPage(request: IncomingMessage, cors: Cors, publicAddress: PublicAddress): void {
  const { origin } = request.headers;
  if (origin === undefined || cors.allows(origin) || origin === publicAddress.origin) return;
  if (isOriginOf(origin, hostOf(request))) return;
  throw new CarryoverError('origin_not_allowed', {
    detail:
      `Pages of ${JSON.stringify(origin.slice(0, SHOWN_CHARACTERS_MAX))} may not open WebSockets here. ` +
      'If they are to, add that origin to CORS_ORIGINS.',
  });
}

/** The scheme is not compared: behind a gateway that speaks TLS it is another than here. */
function isOriginOf(origin: string, host: string | undefined): boolean {
  const [, scheme, originHost] = /^(https?):\/\/([^/]+)$/.exec(origin) ?? [];
  if (scheme === undefined || host === undefined || !URL.canParse(`${scheme}://${host}`)) return false;
  // In both, the port of the scheme may be left out.
  return new URL(`${scheme}://${host}`).host === new URL(origin).host && originHost === new URL(origin).host;
}
