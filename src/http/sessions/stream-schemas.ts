import { Type } from 'typebox';

/** What a frame of a stream says besides its step or sequence. */
export const FrameCall = Type.Object(
  {
    id: Type.Optional(
      Type.Unsafe<string | number>({
        type: ['string', 'number'],
        maxLength: 128,
        minimum: Number.MIN_SAFE_INTEGER,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Comes back in the answer.',
      }),
    ),
    key: Type.Optional(Type.String({ description: 'As the header Idempotency-Key.' })),
    if_match: Type.Optional(Type.String({ description: 'As the header If-Match, or `previous`.' })),
  },
  { $id: 'FrameCall', additionalProperties: false },
);

export const STREAM_DESCRIPTION = `\
A WebSocket: steps and sequences of one session, by the rules of POST /v1/step and /v1/sequence,
without the cost of a request each.

**First** the server sends \`{"session": {"id", "t", "version", "digest", "expires_at",
"etag"}}\`: where the session is.

**A frame** is the JSON body of POST /v1/step, or with three axes in \`x\` that of POST
/v1/sequence, without weights, model and h; or, as a binary frame, the same safetensors file.
Besides it may have \`id\` (text or number, comes back in the answer), \`key\` (as
Idempotency-Key) and \`if_match\` (as If-Match); in a file they are text in \`__metadata__\`.

**Each frame has one answer**, in the order of the frames, of the same kind: what the POST
answers, with \`id\`, \`session\` (now with its \`etag\`) and, if it repeats an earlier answer,
\`"replayed": true\`. An error is a text frame \`{"error": {…}, "id"}\` with the problem of the
POST, \`applied\` and, where a retry helps, \`retry_after_s\`; the connection stays open. Frames
may be sent without waiting for answers. The server reads no further while SESSION_QUEUE_MAX of
them wait, or while its answers are not read. A frame that fails does not stop those behind it,
unless they have \`"if_match": "previous"\`: the state that the frame before was answered with, or
for the first frame the server's; if that frame was refused, so is this one (\`step_conflict\`).

**After a cut** it is not known whether frames without an answer were applied. Connect again and
send them again as they were, byte for byte, with the \`key\` they had: one that was applied is
answered as it was then, one that is still running is \`idempotency_key_in_use\`: once more a
little later. The last 64 keys are remembered, so leave no more frames than that without an
answer, or give them an ETag in \`if_match\` as well: then one that was applied is answered or
refused as \`step_conflict\`, never applied twice. The first frame tells how far the session had come; a
frame of the old connection may have been under way even then.

**The server closes** with a problem frame before: 1001 shutting down, 1008 a message took too
long, 1009 a message is larger than BODY_BYTES_MAX or 4 MiB (POST takes more), 1013 BODIES_BYTES_MAX is exceeded, 4404 and
4410 the session does not exist any more. 1002 and 1007 (not WebSocket, not UTF-8) come without.
Frames without an answer are then as after a cut. The server pings; a client that neither answers
nor reads for KEEP_ALIVE_TIMEOUT_MS is cut off. Messages are not compressed. Pages of any origin
may connect: the id is the key, so keep it secret.`;
