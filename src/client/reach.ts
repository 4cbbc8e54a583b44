// Faults because of which no attempt is answered, however often it is made: a certificate that is not trusted, and a browser that
// keeps the answers from the page. A connection that is refused or reset is none of them.

/** Codes of OpenSSL and Node.js for a TLS handshake that has failed; browsers tell no reason. */
const TLS_CODES = /^(?:CERT_|DEPTH_ZERO_|EPROTO$|ERR_SSL_|ERR_TLS_|HOSTNAME_MISMATCH|INVALID_CA|SELF_SIGNED_|UNABLE_TO_)/;
/** Whether the error of a fetch says that there is no TLS connection to be had. Then nothing of the request was sent. */
export function isTlsFault(error: unknown): boolean {
  const code = ((error as Error).cause as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' && TLS_CODES.test(code);
}

/**
 * The origin of a page that the service is not a part of. A browser tells such a page neither that its answers are kept from it
 * (CORS) nor that there is no service.
 */
export function foreignPage({ origin }: URL): string | undefined {
  const page = globalThis.location?.origin;
  return page === origin ? undefined : page;
}
