// What the settings say about gateways and browsers: the public address, the hosts, the origins and the certificate.
import { Certificate, type CertificateSettings } from '../settings/certificate.ts';
import { readOrigins } from '../settings/origins.ts';
import { readPublicUrl } from '../settings/public-address.ts';
import { type AllowedHosts, type HostSettings, allowedHostsOf } from './allowed-hosts.ts';
import { Cors } from './cors.ts';
import { PublicAddress } from './public-address.ts';

export interface GatewaySettings extends HostSettings, CertificateSettings {
  readonly BASE_PATH: string;
  readonly CORS_ORIGINS: string;
}

export interface GatewayParts {
  readonly publicAddress: PublicAddress;
  readonly hosts: AllowedHosts;
  readonly cors: Cors;
  /** Undefined for HTTP. */
  readonly certificate: Certificate | undefined;
}

/** @throws SettingError if the files of the certificate cannot be used */
export function gatewayParts(settings: GatewaySettings): GatewayParts {
  return {
    publicAddress: new PublicAddress(settings.BASE_PATH, readPublicUrl(settings.PUBLIC_URL)),
    hosts: allowedHostsOf(settings),
    cors: new Cors(readOrigins(settings.CORS_ORIGINS)),
    certificate: settings.TLS_CERT_FILE === '' ? undefined : new Certificate(settings),
  };
}
