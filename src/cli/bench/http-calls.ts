// Single calls of a service over HTTP: what a measurement needs before and after its load. Bodies and answers are bytes,
// as the generators send and compare them.

export const JSON_HEADERS = { 'content-type': 'application/json' };
export const FILE_HEADERS = { 'content-type': 'application/vnd.carryover.safetensors' };

export interface BytesAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/**
 * @returns the body of the response
 * @throws Error if there is no response, or if its status is not 2xx
 */
export async function post(
  url: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = JSON_HEADERS,
): Promise<Buffer> {
  return (await request(url, { method: 'POST', headers, body: new Uint8Array(Buffer.from(body)) })).body;
}

/** As `post`, for a request without a body. */
export async function get(url: string): Promise<Buffer> {
  return (await request(url, { method: 'GET' })).body;
}

/** As `post`, with any method, and with the status of the answer. */
export async function request(url: string, init: RequestInit): Promise<BytesAnswer> {
  const response = await fetch(url, init).catch((cause: unknown) => {
    throw new Error(`No service answers at ${new URL(url).origin}.`, { cause });
  });
  const body = Buffer.from(await response.arrayBuffer());
  if (response.ok) return { status: response.status, body };
  throw new Error(`${url} was answered with ${response.status}: ${body.toString().slice(0, 400)}`);
}

/** Every number of `h` in a JSON answer, row by row. */
export function stateOfJson(json: Buffer | string): Float32Array {
  const { h } = JSON.parse(json.toString()) as { h: number[][] };
  return Float32Array.from(h.flat());
}
