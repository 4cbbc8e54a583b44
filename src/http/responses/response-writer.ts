// Sends what was computed: as JSON or as a file, from where it was written in linear memory.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Answer, toSafetensors } from '../../codec/response-body.ts';
import type { JsonCodec } from '../../engine/json-codec.ts';
import { addRelease } from '../plugins/admission.ts';
import { nextFlush } from './write-coalescing.ts';
import { JSON_TYPE } from '../bodies/media-types.ts';

export class ResponseWriter {
  readonly #jsonCodec: JsonCodec;

  constructor(jsonCodec: JsonCodec) {
    this.#jsonCodec = jsonCodec;
  }

  /**
   * Sends an answer as `type`. `compute` is given what writes it, to be called while the answer's
   * tensors are valid; they have to be until it is done. What it writes must not be kept: its memory is
   * others' once it is sent.
   */
  async send(
    request: FastifyRequest,
    reply: FastifyReply,
    type: string,
    compute: (write: (answer: Answer) => Buffer | Promise<Buffer>) => Promise<Buffer>,
  ): Promise<FastifyReply> {
    const body = await compute((answer) =>
      type === JSON_TYPE ? this.#toJson(request, answer) : this.#toFile(request, answer),
    );
    await nextFlush();
    return reply.header('content-type', type).serializer(asItIs).send(body);
  }

  async #toJson(request: FastifyRequest, answer: Answer): Promise<Buffer> {
    const printed = await this.#jsonCodec.print(answer, request.lifetime);
    addRelease(request, () => printed.release());
    return printed.text();
  }

  #toFile(request: FastifyRequest, answer: Answer): Buffer | Promise<Buffer> {
    return toSafetensors(answer, (bytes) => {
      const block = this.#jsonCodec.open(bytes);
      addRelease(request, () => block.release());
      return block.room;
    });
  }
}

/** Fastify takes a Buffer over shared memory for an object, which it would make JSON of. */
const asItIs = (body: Buffer) => body as unknown as string;
