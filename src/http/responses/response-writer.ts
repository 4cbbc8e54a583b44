// Responses that are computed: written as JSON or as a file into linear memory, and sent from there.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ResponseBody, toJsonSegments, toSafetensors } from '../../codec/response-body.ts';
import type { JsonSegment } from '../../codec/json/segments.ts';
import type { JsonCodec, PrintedJson } from '../../engine/json-codec.ts';
import { JSON_TYPE } from '../media-types.ts';
import { addRelease } from '../request.ts';
import { serverTiming } from './server-timing.ts';
import { nextFlush } from './write-coalescing.ts';

export class ResponseWriter {
  readonly #jsonCodec: JsonCodec;

  constructor(jsonCodec: JsonCodec) {
    this.#jsonCodec = jsonCodec;
  }

  /**
   * The bytes of `body`. They are in linear memory, and valid until the response has been sent or its
   * connection is lost. The body's tensors have to be valid until this has settled.
   *
   * @param type JSON_TYPE; any other is a file
   * @throws memory_full · queue_full · deadline_exceeded · client_closed · worker_failed
   */
  write(request: FastifyRequest, type: string, body: ResponseBody): Buffer | Promise<Buffer> {
    return type === JSON_TYPE ? this.writeJson(request, toJsonSegments(body)) : this.#toFile(request, body);
  }

  /**
   * The same for JSON of any form. Short JSON is printed at once: a promise for it would take a tenth of a microsecond more.
   *
   * @throws as write
   */
  writeJson(request: FastifyRequest, segments: readonly JsonSegment[]): Buffer | Promise<Buffer> {
    const printed = this.#jsonCodec.stringify(segments, request.lifetime);
    if (printed instanceof Promise) return printed.then((json) => viewUntilSent(request, json));
    return viewUntilSent(request, printed);
  }

  #toFile(request: FastifyRequest, body: ResponseBody): Buffer | Promise<Buffer> {
    const allocate = (bytes: number) => this.allocate(request, bytes);
    return request.lifetime.record.measure('printMs', () => toSafetensors(body, allocate));
  }

  /** Memory for a response that its caller writes; it is freed as that of write(). @throws memory_full */
  allocate(request: FastifyRequest, bytes: number): Buffer {
    const block = this.#jsonCodec.allocate(bytes);
    addRelease(request, () => block.release());
    return block.buffer;
  }
}

/** A view of the printed JSON, whose memory is freed when the response has been sent. */
function viewUntilSent(request: FastifyRequest, json: PrintedJson): Buffer {
  addRelease(request, () => json.release());
  return json.view();
}

/** Sends bytes as they are, together with the other responses that are ready now. */
export async function sendBytes(reply: FastifyReply, type: string, bytes: Buffer): Promise<FastifyReply> {
  const timing = serverTiming(reply.request.lifetime.record);
  if (timing !== undefined) void reply.header('server-timing', timing);
  await nextFlush();
  return reply.header('content-type', type).serializer(unchanged).send(bytes);
}

/** Fastify would serialise a Buffer over shared memory as an object, as it does not recognise it as bytes. */
const unchanged = (bytes: Buffer) => bytes as unknown as string;
