// The certificate of HTTPS and its private key, from two files, which are read again without a restart.
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SecureContextOptions, SecureVersion } from 'node:tls';
import { SettingError } from './setting-error.ts';

export interface CertificateSettings {
  readonly TLS_CERT_FILE: string;
  readonly TLS_KEY_FILE: string;
  readonly TLS_MIN_VERSION: '1.2' | '1.3';
}

export class Certificate {
  readonly #settings: CertificateSettings;
  #pair: Pair;

  /** @throws SettingError naming all that is wrong with the files */
  constructor(settings: CertificateSettings) {
    this.#settings = settings;
    this.#pair = readPair(settings);
  }

  /** What Node's server needs of it. */
  get contextOptions(): SecureContextOptions {
    const { cert, key } = this.#pair;
    return { cert, key, minVersion: `TLSv${this.#settings.TLS_MIN_VERSION}` satisfies SecureVersion };
  }

  /** What is logged of it. */
  get description(): { readonly subject: string; readonly validTo: string; readonly isExpired: boolean } {
    const { subject, subjectAltName, validTo, validToDate } = this.#pair.x509;
    return { subject: subjectAltName ?? subject, validTo, isExpired: validToDate.getTime() < Date.now() };
  }

  /** Reads the files again. @throws SettingError as the constructor; the certificate stays as it was then */
  reload(): void {
    this.#pair = readPair(this.#settings);
  }
}

interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Of the server itself, the first of the file. */
  readonly x509: X509Certificate;
}

function readPair({ TLS_CERT_FILE, TLS_KEY_FILE }: CertificateSettings): Pair {
  const problems: string[] = [];
  const attempt = <Value>(read: () => Value, problem: (error: NodeJS.ErrnoException) => string): Value | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(problem(error as NodeJS.ErrnoException));
      return undefined;
    }
  };
  const fileOf = (setting: string, path: string) =>
    attempt(() => readFileSync(path), ({ message }) => `${setting} cannot be read: ${message}`);
  const cert = fileOf('TLS_CERT_FILE', TLS_CERT_FILE);
  const key = fileOf('TLS_KEY_FILE', TLS_KEY_FILE);
  const x509 = cert && attempt(() => new X509Certificate(cert), () => `TLS_CERT_FILE has no certificate in PEM: ${TLS_CERT_FILE}`);
  const privateKey = key && attempt(() => createPrivateKey(key), () => keyProblem(key, TLS_KEY_FILE));
  if (x509 && privateKey && !x509.checkPrivateKey(privateKey)) {
    problems.push(`TLS_KEY_FILE is not the key of the certificate in TLS_CERT_FILE (${x509.subject})`);
  }
  if (problems.length === 0) {
    // What OpenSSL refuses besides, such as a key that is too short, or a chain that is no PEM.
    const { createSecureContext } = process.getBuiltinModule('node:tls');
    attempt(() => createSecureContext({ cert, key }), ({ message }) => `TLS_CERT_FILE and TLS_KEY_FILE cannot be used: ${message}`);
  }
  if (problems.length > 0) throw new SettingError(problems.join('\n'));
  return { cert: cert!, key: key!, x509: x509! };
}

/** Of an encrypted key OpenSSL says nothing that is the same in all versions. */
function keyProblem(key: Buffer, path: string): string {
  if (key.includes('ENCRYPTED')) return `TLS_KEY_FILE is encrypted, expected a key without a passphrase: ${path}`;
  return `TLS_KEY_FILE has no private key in PEM: ${path}`;
}
