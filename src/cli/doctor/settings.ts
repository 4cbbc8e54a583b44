// The settings of the environment, and the certificate that they name.
import { type Config, ConfigError, ConfigSchema, readConfig } from '../../config.ts';
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
