// The head of an HTTP/1.1 response, as far as the generators with plain sockets need it.

/** A head of the service has some 600 bytes. */
const HEAD_BYTES_MAX = 16 * 1024;

export interface ResponseHead {
  readonly status: number;
  /** The status line, the headers and the empty line. */
  readonly headBytes: number;
  /** Content-Length; 0 if the response has none, as 101 has none. */
  readonly bodyBytes: number;
}

/**
 * @param bytes of one response, from its first byte on
 * @returns undefined while the head is not complete
 * @throws Error if the bytes are not the head of an HTTP/1.1 response
 */
export function readResponseHead(bytes: Buffer): ResponseHead | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0 && bytes.length <= HEAD_BYTES_MAX) return undefined;
  const head = bytes.toString('latin1', 0, Math.max(0, end));
  const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(head) ?? [];
  if (status === undefined) throw new Error(`not an HTTP response: ${quote(bytes)}`);
  const [, length = '0'] = /\r\ncontent-length: (\d+)/i.exec(head) ?? [];
  return { status: Number(status), headBytes: end + 4, bodyBytes: Number(length) };
}

/** The first bytes, for an error message. */
export function quote(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1', 0, 400));
}
