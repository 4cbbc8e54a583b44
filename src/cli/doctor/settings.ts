// The settings of the environment, and the certificate that they name.
import { readKeysFile } from '../../access/keys-file.ts';
import { type Config, ConfigError, ConfigSchema, readConfig } from '../../config.ts';
import { isLoopbackHost } from '../../settings/hosts.ts';
import { Certificate } from '../../settings/certificate.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** The configuration is absent if it is invalid. */
export function readConfigOrProblems(env: Io['env']): { readonly config: Config | undefined; readonly finding: Finding } {
  const name = 'settings';
  const set = Object.keys(ConfigSchema.properties).filter((setting) => env[setting] !== undefined);
  try {
    const config = readConfig(env);
    const found =
      set.length === 0 ? 'none in the environment, the defaults hold' : `${set.join(', ')} from the environment`;
    return { config, finding: ok(name, found) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [, ...problems] = error.message.split('\n').map((line) => line.trim());
    const advice = 'Correct them in the environment; docker/README.md has the table of settings.';
    return { config: undefined, finding: fail(name, problems.join('; '), advice, EXIT.config) };
  }
}

/** Who may call, and whether the keys can be read. */
export function checkKeys(config: Config): Finding {
  const name = 'keys';
  const { API_KEYS_FILE: path, JWT_ISSUER, ALLOW_ANONYMOUS, HOST } = config;
  const tokens = JWT_ISSUER === '' ? '' : `; tokens of ${JWT_ISSUER}`;
  if (path === '') {
    if (tokens !== '') return ok(name, `no API_KEYS_FILE${tokens}`);
    if (isLoopbackHost(HOST)) return ok(name, 'none, as there is no API_KEYS_FILE: every program on this machine may call');
    return warn(name, `none, and ALLOW_ANONYMOUS=${ALLOW_ANONYMOUS}: whoever reaches ${HOST} may call`, 'Make some with `carryover key new`.');
  }
  try {
    const { keys } = readKeysFile(path);
    const expired = keys.filter(({ expires_at }) => expires_at !== undefined && Date.parse(expires_at) <= Date.now());
    const tenants = new Set(keys.map(({ tenant }) => tenant)).size;
    const found = `${keys.length} of ${tenants} tenants in ${path}, ${expired.length} expired${tokens}`;
    if (keys.length > expired.length || tokens !== '') return ok(name, found);
    return warn(name, found, 'Nobody may call: make a key with `carryover key new`.');
  } catch (error) {
    return fail(name, (error as Error).message, 'Write the file with `carryover key new`.', EXIT.config);
  }
}

/** The certificate of HTTPS, if there is to be one. */
export function checkCertificate(config: Config): Finding {
  const name = 'certificate';
  if (config.TLS_CERT_FILE === '') return ok(name, 'none, as there is no TLS_CERT_FILE: HTTP');
  try {
    const { subject, validTo, isExpired } = new Certificate(config).description;
    const found = `${subject}, valid to ${validTo}`;
    return isExpired ? warn(name, found, 'It has expired, and clients refuse it: renew it.') : ok(name, found);
  } catch (error) {
    const found = (error as Error).message.replaceAll('\n', '; ');
    return fail(name, found, 'Give a certificate and its key in PEM.', EXIT.config);
  }
}
