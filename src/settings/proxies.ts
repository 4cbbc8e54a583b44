// TRUST_PROXY: which proxies are believed about the address of a client.
import { isIP } from 'node:net';
import { SettingError } from './setting-error.ts';

/** More proxies in a row are a mistake. */
const PROXIES_MAX = 32;

/** As Fastify's trustProxy takes it. */
export type TrustedProxies = boolean | string[] | ((address: string, hop: number) => boolean);

/** What TRUST_PROXY says; false for nobody. @throws SettingError if it says nothing that is understood */
export function trustedProxies(setting: string): TrustedProxies {
  const text = setting.trim();
  if (text === '' || text === 'false') return false;
  if (text === 'true') return true;
  if (/^\d+$/.test(text)) {
    const proxies = Number(text);
    if (proxies >= 1 && proxies <= PROXIES_MAX) return (_address, hop) => hop < proxies;
  }
  const networks = text.split(',').map((part) => part.trim());
  if (networks.every(isNetwork)) return networks;
  throw new SettingError(
    `must be \`true\`, a number of proxies from 1 to ${PROXIES_MAX}, or addresses and networks separated by commas, ` +
      `got ${JSON.stringify(setting)}`,
  );
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}
