// Node's server of HTTP, or of HTTPS with a certificate. Either is used in the same way.
import type { IncomingMessage, Server } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { FastifyBaseLogger } from 'fastify';
import type { Certificate } from '../settings/certificate.ts';
import { headMsMax } from './connections/connections.ts';

// An import of node:http would load all that it exports, fetch and WebSocket too: a tenth of a second of each start.
const { createServer } = process.getBuiltinModule('node:http');

/** How often Node looks for requests past their timeout: often, since answering each takes some 0.1 ms. */
const TIMEOUTS_CHECKED_MS = 200;

export interface NodeServerOptions {
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** Undefined for HTTP. */
  readonly certificate: Certificate | undefined;
  readonly isUpgraded: (request: IncomingMessage) => boolean;
}

export function createNodeServer({ requestTimeoutMs, keepAliveTimeoutMs, certificate, isUpgraded }: NodeServerOptions): Server {
  const options = {
    headersTimeout: headMsMax(requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    // Node's default is 30 s.
    connectionsCheckingInterval: Math.min(TIMEOUTS_CHECKED_MS, requestTimeoutMs),
    shouldUpgradeCallback: isUpgraded,
    // A request without a Host header is refused by the admission, with a problem.
    requireHostHeader: false,
  };
  if (!certificate) return createServer(options);
  const { createServer: createHttpsServer } = process.getBuiltinModule('node:https');
  // A client that says nothing is disconnected as one that sends no head. Half-open as in HTTP: a client may end its side
  // after its request.
  const tls = { ...certificate.contextOptions, handshakeTimeout: headMsMax(requestTimeoutMs), allowHalfOpen: true };
  return createHttpsServer({ ...options, ...tls });
}

/** Reads the files of the certificate again; connections that are open go on with the one that they began with. */
export function reloadCertificate(server: Server, certificate: Certificate | undefined, log: FastifyBaseLogger): void {
  if (!certificate) return log.info('nothing to read again: there is no certificate (TLS_CERT_FILE)');
  try {
    certificate.reload();
  } catch (error) {
    return log.error({ reason: (error as Error).message }, 'the new certificate cannot be used, and the old one stays');
  }
  (server as unknown as HttpsServer).setSecureContext(certificate.contextOptions);
  logCertificate(certificate, log);
}

export function logCertificate({ description }: Certificate, log: FastifyBaseLogger): void {
  const { isExpired, ...fields } = description;
  if (isExpired) log.warn(fields, 'the certificate has expired: clients refuse it');
  else log.info(fields, 'certificate');
}
