// A process that floods a service with the requests of one tenant, as fast as they are answered, until it is killed:
// small steps, large bodies and streams. node load/clients/tenant-flood.ts '{"port": …, "key": …, …}'
import { connect } from 'node:net';

export interface FloodOptions {
  readonly port: number;
  readonly key: string;
  /** Connections that send small steps. */
  readonly steps: number;
  /** Connections that send bodies of `bodyBytes`. */
  readonly bodies: number;
  readonly bodyBytes: number;
  /** Connections that ask for streams. */
  readonly streams: number;
}

const options = JSON.parse(process.argv[2]!) as FloodOptions;
const { port, key, steps, bodies, bodyBytes, streams } = options;

const step = requestOf('/v1/step', JSON.stringify({ model: 'sunspots', x: [[0.5]] }));
const row = '[[0.5]],';
const long = `{"model":"sunspots","x":[${row.repeat(Math.floor(bodyBytes / row.length))}[[0.5]]]}`;
const large = requestOf('/v1/sequence', long);
const stream = requestOf('/v1/sequence', `{"model":"sunspots","x":[${row.repeat(20_000)}[[0.5]]]}`, 'application/x-ndjson');

for (let k = 0; k < steps; k++) flood(step);
for (let k = 0; k < bodies; k++) flood(large);
for (let k = 0; k < streams; k++) flood(stream);

function requestOf(path: string, body: string, accept = 'application/json'): Buffer {
  const head =
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\naccept: ${accept}\r\n` +
    `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.from(head + body);
}

/** Sends the request again whenever something of an answer has come, and connects again when it is closed. */
function flood(request: Buffer): void {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  socket.on('connect', () => socket.write(request));
  socket.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('latin1')).slice(-65_536);
    if (!isWhole(text)) return;
    text = '';
    socket.write(request);
  });
  socket.on('error', () => {});
  socket.on('close', () => setTimeout(flood, 1, request));
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  if (length === undefined) return text.endsWith('\r\n0\r\n\r\n') || text.endsWith('0\r\n\r\n');
  return end >= 0 && text.length >= end + 4 + Number(length);
}
