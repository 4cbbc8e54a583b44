// POST /v1/batch: steps and sequences of many sessions in one call.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { JsonCodec } from '../../engine/json-codec.ts';
import type { HttpServer } from '../http-server.ts';
import { FILE_TYPES, JSON_TYPE, NDJSON_TYPE, batchContent, jsonOrFile, preferredType } from '../media-types.ts';
import { addRelease, isBodyHeld } from '../request.ts';
import { sendBytes } from '../responses/response-writer.ts';
import { BODY_ERRORS, FILE_ERRORS, problemResponses } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { varyBy } from '../vary.ts';
import { BATCH_DESCRIPTION, BatchBody, BatchReply } from './batch-schemas.ts';
import { type BatchItem, itemsOfFile, itemsOfJson, itemsOfLines } from './batch-body.ts';
import { type ReplyFormat, fileReply, isJsonReply, jsonReply } from './batch-reply.ts';
import { ItemCalls, type ItemCallsParts } from './item-calls.ts';

export interface BatchParts extends ItemCallsParts {
  readonly jsonCodec: JsonCodec;
  readonly isClosing: () => boolean;
}

const BODY_TYPES = [NDJSON_TYPE, ...FILE_TYPES];
const REPLY_TYPES = [JSON_TYPE, NDJSON_TYPE, ...FILE_TYPES];

/** A Fastify plugin with the route. */
export async function batchRoute(app: HttpServer, parts: BatchParts): Promise<void> {
  app.post(
    '/v1/batch',
    {
      config: { access: ['sessions', 'compute'] },
      schema: {
        operationId: 'batch',
        tags: ['sessions'],
        summary: 'Advance many sessions',
        description: BATCH_DESCRIPTION,
        body: jsonOrFile(ref(BatchBody), BODY_TYPES),
        response: {
          200: { description: 'An entry for each item, with a status of its own.', content: batchContent(ref(BatchReply)) },
          ...problemResponses([...BODY_ERRORS, ...FILE_ERRORS, 'internal', 'queue_full', 'memory_full', 'shutting_down']),
        },
      },
    },
    async (request, reply) => {
      varyBy(reply, 'accept');
      const own = ownType(request);
      const type = preferredType(request, [own, ...REPLY_TYPES.filter((other) => other !== own)]);
      const items = await itemsOf(parts, request, request.body);
      if (isJsonReply(type)) return answer(parts, request, reply, type, items, jsonReply(parts.jsonCodec, type));
      return answer(parts, request, reply, type, items, fileReply());
    },
  );
}

async function answer<Entry>(
  parts: BatchParts,
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  items: readonly BatchItem[],
  format: ReplyFormat<Entry>,
): Promise<FastifyReply> {
  const calls = new ItemCalls(parts, request, format);
  const entries = await calls.answerAll(items);
  request.log.info({ items: items.length, failed: calls.failed, failures: calls.failures }, 'batch');
  return sendBytes(reply, type, await format.together(entries));
}

/** @throws invalid_request · malformed_safetensors */
async function itemsOf({ jsonCodec }: BatchParts, request: FastifyRequest, body: BatchBody | Buffer): Promise<readonly BatchItem[]> {
  if (!Buffer.isBuffer(body)) return itemsOfJson(body.items);
  const onOpen = (item: Disposable) => void addRelease(request, () => item[Symbol.dispose]());
  if (ownType(request) === NDJSON_TYPE) return itemsOfLines(jsonCodec, body, request.lifetime, onOpen);
  return itemsOfFile(body, () => isBodyHeld(request));
}

/** The type of the body, and of the answer if nothing else is asked for. */
function ownType({ headers, body }: FastifyRequest): string {
  if (!Buffer.isBuffer(body)) return JSON_TYPE;
  return headers['content-type']?.toLowerCase().startsWith(NDJSON_TYPE) ? NDJSON_TYPE : FILE_TYPES[0]!;
}
