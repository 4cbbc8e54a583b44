// Certificates for tests, made by OpenSSL; see describeWith('openssl').
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  /** The text of the certificate, which is its own authority. */
  pem(): string;
}

/** A folder for files of certificates; it is removed with the process. */
export function certificateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-tls-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a certificate for localhost and 127.0.0.1 and its key, over those of the same name. */
export function makeCertificate(folder: string, name = 'server', more: readonly string[] = ['-days', '2']): CertificateFiles {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}-key.pem`)];
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const { status, stderr } = spawnSync('openssl', ['req', '-x509', ...newKey, ...names, ...more, '-keyout', key, '-out', cert]);
  if (status !== 0) throw new Error(`openssl: ${String(stderr)}`);
  return { cert, key, pem: () => readFileSync(cert, 'utf8') };
}
