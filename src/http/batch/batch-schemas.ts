import { type Static, Type } from 'typebox';
import { Problem } from '../schemas/problem.ts';

/** So many tensors a body may have, and each item has one, x. */
export const ITEMS_MAX = 256;

/** What the document says of an item. It is validated by itself, as what is wrong with it is its own. */
export const BATCH_ITEM = {
  type: 'object',
  required: ['session', 'x'],
  properties: {
    session: { type: 'string', description: 'The id of a session.' },
    x: { type: 'array', items: {}, description: '(N, D) of a step, (T, N, D) of a sequence; (N) or (T, N) row numbers of an embedding.' },
    id: { type: ['string', 'number'], description: 'Comes back in the entry.' },
    key: { type: 'string', description: 'As the header Idempotency-Key.' },
    if_match: {
      type: 'string',
      description: 'As the header If-Match, or `previous`: the state with which the item before of the same session was answered.',
    },
  },
  additionalProperties: true,
  description:
    'A message as a WebSocket on its session takes: the body of POST /v1/step or, with one axis more in x, of POST /v1/sequence, ' +
    'without weights, model, h and c.',
} as const;

/** Steps and sequences of many sessions; the items, of which each is validated by itself, are anything here. */
export const BatchBody = Type.Object(
  { items: Type.Array(Type.Unsafe<unknown>({}), { minItems: 1, maxItems: ITEMS_MAX }) },
  {
    $id: 'BatchBody',
    additionalProperties: false,
    description: 'Steps and sequences of sessions. Items of one session are applied in their order.',
  },
);

export type BatchBody = Static<typeof BatchBody>;

/** A problem as messages have it: what a header says of a request is a member of it. */
const ItemProblem = Type.Object(
  {
    ...Problem.properties,
    retry_after_s: Type.Optional(Type.Integer({ description: 'In how many seconds a retry may help, as the header Retry-After.' })),
  },
  { additionalProperties: false, description: 'An error, RFC 9457.' },
);

/** What one item is answered with. */
export const BatchEntry = Type.Unsafe({
  type: 'object',
  required: ['status'],
  properties: {
    id: { type: ['string', 'number'] },
    status: { type: 'integer', description: 'What the item would have been answered with by itself.' },
    replayed: { type: 'boolean', description: 'True if it repeats an earlier answer.' },
    session: { type: 'object', description: 'Where the session is after it, with its `etag`.' },
    error: ItemProblem,
  },
  additionalProperties: true,
  description: 'The answer to a step or a sequence, with `session`; or `error`, a problem with `applied`.',
});

export const BatchReply = Type.Object(
  { items: Type.Array(BatchEntry, { description: 'An entry for each item, in their order.' }) },
  { $id: 'BatchReply', additionalProperties: false },
);

export const BATCH_DESCRIPTION = `\
Steps and sequences of many sessions in one call. Each item has its own status, and what is wrong with one is its own; only a
body that cannot be read as a whole, or that is too large, refuses all, and then none is applied by this call. The entries
together have at most \`ANSWER_NUMBERS_MAX\` numbers; an item beyond them is refused. The answer is sent when all items are answered.

Items of one session are applied in their order, those of different sessions side by side; steps of one model are computed as
one mini-batch where that is faster, with the same bits. Each is committed before the answer is sent. An item with a \`key\` counts
once, however often the call is sent: after a lost answer send it again as it was. At most 64 items of one session may have one,
as many as it remembers.

With \`Content-Type: application/x-ndjson\` each line is an item, and with \`Accept: application/x-ndjson\` each line of the answer is
an entry. As a safetensors file the tensors of item k are \`k.x\` …, and \`items\` in \`__metadata__\` is the JSON array of the items without
their tensors; the answer has \`k.h\`, \`k.c\`, \`k.y\` … and \`items\`.`;
