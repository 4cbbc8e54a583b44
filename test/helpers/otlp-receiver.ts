// An OpenTelemetry collector as far as tests need one: receives OTLP over HTTP and decodes the spans.
import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { closeAtEnd } from './cleanup.ts';

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty if it has none. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** 1 internal, 2 server. */
  readonly kind: number;
  /** Nanoseconds since 1970. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** 0 unset, 2 error. */
  readonly status: number;
}

export interface OtlpReceiver {
  readonly url: string;
  readonly spans: ReceivedSpan[];
  /** Of the process that has sent them. */
  readonly resource: Record<string, string | number>;
  /** Of the last request. */
  headers: IncomingHttpHeaders;
  /** The bytes of all messages, as text. */
  text: string;
  /** Requests so far. */
  requests: number;
  /** What is answered. */
  status: number;
  close(): Promise<void>;
}

export async function startOtlpReceiver(port = 0): Promise<OtlpReceiver> {
  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    receiver.requests++;
    receiver.headers = request.headers;
    response.statusCode = receiver.status;
    if (receiver.status === 200) {
      const bytes = Buffer.concat(chunks);
      receiver.text += bytes.toString('latin1');
      for (const { resource, spans } of resourceSpansOf(bytes)) {
        Object.assign(receiver.resource, resource);
        receiver.spans.push(...spans);
      }
    }
    response.end();
  };
  const server = createServer((request, response) => void receive(request, response));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  const receiver: OtlpReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: [],
    resource: {},
    headers: {},
    text: '',
    requests: 0,
    status: 200,
    close,
  };
  closeAtEnd(close);
  return receiver;
}

/** The values of the fields of a message by their numbers: numbers, or bytes. */
type Fields = Map<number, (number | bigint | Uint8Array)[]>;

function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields: Fields = new Map();
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const value = [() => reader.uint32(), () => BigInt(reader.fixed64()), () => reader.bytes()][wireType]?.() ?? reader.fixed32();
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

const messagesOf = (fields: Fields, number: number) => (fields.get(number) ?? []) as Uint8Array[];
const messageOf = (fields: Fields, number: number) => messagesOf(fields, number)[0] ?? new Uint8Array();
const hexOf = (fields: Fields, number: number) => Buffer.from(messageOf(fields, number)).toString('hex');
const textOf = (fields: Fields, number: number) => Buffer.from(messageOf(fields, number)).toString();
const numberOf = (fields: Fields, number: number) => Number(fields.get(number)?.[0] ?? 0);

function resourceSpansOf(request: Uint8Array) {
  return messagesOf(fieldsOf(request), 1).map((bytes) => {
    const fields = fieldsOf(bytes);
    const spans = messagesOf(fields, 2).flatMap((scope) => messagesOf(fieldsOf(scope), 2).map(spanOf));
    return { resource: attributesOf(messagesOf(fieldsOf(messageOf(fields, 1)), 1)), spans };
  });
}

function spanOf(bytes: Uint8Array): ReceivedSpan {
  const fields = fieldsOf(bytes);
  return {
    traceId: hexOf(fields, 1),
    spanId: hexOf(fields, 2),
    traceState: textOf(fields, 3),
    parentSpanId: hexOf(fields, 4),
    name: textOf(fields, 5),
    kind: numberOf(fields, 6),
    start: fields.get(7)![0] as bigint,
    end: fields.get(8)![0] as bigint,
    attributes: attributesOf(messagesOf(fields, 9)),
    links: messagesOf(fields, 13).map((link) => {
      const linkFields = fieldsOf(link);
      return { traceId: hexOf(linkFields, 1), spanId: hexOf(linkFields, 2) };
    }),
    status: numberOf(fieldsOf(messageOf(fields, 15)), 3),
  };
}

function attributesOf(pairs: readonly Uint8Array[]): Record<string, string | number> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const fields = fieldsOf(pair);
      const value = fieldsOf(messageOf(fields, 2));
      return [textOf(fields, 1), value.has(1) ? textOf(value, 1) : numberOf(value, 3)];
    }),
  );
}
