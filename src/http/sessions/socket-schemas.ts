import { Type } from 'typebox';

/** Fields of a message of a stream besides those of its step or sequence. */
export const SocketCall = Type.Object(
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
  { $id: 'StreamCall', additionalProperties: false },
);

export const SOCKET_DESCRIPTION = `\
A WebSocket: steps and sequences of one session, by the rules of POST /v1/step and /v1/sequence,
without the cost of a request each.

**First** the server sends \`{"session": {"id", "t", "version", "digest", "expires_at",
"etag"}}\`: the state at which the session is.

**A message** is the JSON body of POST /v1/step, or with one axis more in \`x\`, T, that of POST
/v1/sequence, without weights, model, h and c; or, as a binary message, the same safetensors file.
Besides it may have \`id\` (text or number, returned in the answer), \`key\` (as
Idempotency-Key) and \`if_match\` (as If-Match); in a file they are text in \`__metadata__\`.

**Each message has one answer**, in the order of the messages, of the same kind: what the POST
answers, with \`id\`, \`session\` (with its \`etag\`) and, if it repeats an earlier answer,
\`"replayed": true\`. An error is a text message \`{"error": {…}, "id"}\` with the problem of the
POST, \`applied\` and, where a retry helps, \`retry_after_s\`; the connection stays open. Messages
may be sent without waiting for answers. The server reads no further while SESSION_QUEUE_MAX of
them wait, or while its answers are not read. A message that fails does not stop later ones,
unless they have \`"if_match": "previous"\`: the state that the message before was answered with, or
for the first message the server's; if that message was refused, so is this one (\`step_conflict\`).

**After the connection is lost** it is not known whether messages without an answer were applied.
Connect again and send them again, byte for byte, with the \`key\` they had: one that was applied has
the same answer again, one that is still running is \`idempotency_key_in_use\`: retry it a little
later. The last 64 keys are kept, so leave no more messages than that without an
answer, or give them an ETag in \`if_match\` as well: then one that was applied is answered or
refused as \`step_conflict\`, never applied twice. The server's first message says at which state the
session is; a message of the old connection may still be running then.

**The server closes** with a problem message before: 1001 shutting down, 1008 a message took too
long, 1009 a message is larger than BODY_BYTES_MAX or 4 MiB (POST takes more), 1013 BODIES_BYTES_MAX is exceeded, 4401 the key or token is not good any more, 4404 and
4410 the session does not exist any more. 1002 and 1007 (not WebSocket, not UTF-8) come without.
Messages without an answer are then as after a lost connection. The server pings; a client that neither answers
nor reads for KEEP_ALIVE_TIMEOUT_MS is disconnected. Messages are not compressed. Pages of any origin
may connect: the id is the key, so keep it secret.`;

export const STREAM_DESCRIPTION = `\
A WebSocket for many sessions. **First** the server sends \`{"ready": true}\`. **A message** is one of GET /v1/sessions/{id}/stream with
its \`session\`, and has one answer as there, with the \`id\` that the message had. Messages of one session are applied and answered
in their order, those of different sessions side by side, so give each an \`id\`. Steps of one model that wait at the same moment
are computed together, with the same bits.

\`previous\` in \`if_match\` is the state with which the message before of the same session was answered on this connection; after a
refused one, and before the first, there is none (\`step_conflict\`); nor behind a message that was refused without being read, as it
may have been of any session. Such a message, one that is malformed, too large or beyond a limit of its tenant, is answered without an
\`id\`. A session that does not exist is an error of its message, and the connection stays open. The server answers up to 64 messages at once, and reads no further while SESSION_QUEUE_MAX others wait or its
answers are not read.

**After the connection is lost** connect again and send the messages without an answer again, with the \`key\` they had: one
that was applied has the same answer again. Those of one session have to be sent in their order, and not more than 64 of them may be
without an answer. The closing codes are those of GET /v1/sessions/{id}/stream without 4404 and 4410.`;
