import { Type } from 'typebox';
import { KEEP_MAX, STEPS_MAX } from '../../sessions/session.ts';
import { ModelRef } from '../models/schemas.ts';
import { pageLimit } from '../schemas/page.ts';
import { ref } from '../schemas/ref.ts';
import { InlineWeights } from '../schemas/layers.ts';
import { cellStates, hiddenStates } from '../schemas/states.ts';

/** Beyond every limit that can be configured. */
const INTEGER_MAX = 2 ** 31 - 1;

const Id = Type.String({
  pattern: '^[A-Za-z0-9_.-]{1,64}$',
  description: 'Issued by POST /v1/sessions.',
});

/** The session of a step or sequence, in the body or in the header x-session-id. */
export const SessionRef = Type.Unsafe<string>({
  ...Id,
  description:
    'In place of weights, model and h: the step begins with the state of this session, and the state ' +
    'after it is stored there. May also be the header x-session-id.',
});

export const CreateSessionBody = Type.Object(
  {
    model: Type.Optional(ModelRef),
    weights: Type.Optional(ref(InlineWeights)),
    N: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: INTEGER_MAX,
        description: 'Mini-batch of every call; that of h or c, or 1.',
      }),
    ),
    h: Type.Optional(hiddenStates('First hidden state; zeros if absent.')),
    c: Type.Optional(cellStates('First cell state of the layers of type lstm; zeros if absent.')),
    ttl_s: Type.Optional(
      Type.Number({
        minimum: 0.001,
        maximum: INTEGER_MAX,
        description: 'Idle lifetime in seconds, from each change on.',
      }),
    ),
    keep: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: KEEP_MAX,
        description: 'How many past states are kept for rewind: one before each change. 0 if absent.',
      }),
    ),
  },
  {
    $id: 'CreateSessionBody',
    additionalProperties: false,
    description: 'The weights are in exactly one of `model` and `weights`.',
  },
);

const mark = {
  id: Id,
  t: Type.Integer({ description: 'Steps taken, at most 2^53 - 1.' }),
  version: Type.Integer({ description: 'Changes of the state.' }),
  digest: Type.String({
    description: "First 16 hex digits of SHA-256 over the state's float32 values, little-endian: of h, then of c, each in the " +
      'order of the layers.',
  }),
  expires_at: Type.String({ format: 'date-time' }),
};

/** The state at which a session is after a call. */
export const SessionMark = Type.Object(mark, { $id: 'SessionMark', additionalProperties: false });

const info = {
  id: Id,
  model: Type.String({ description: 'Id of the model; it stays the same when names move.' }),
  N: Type.Integer({ description: 'Mini-batch of every call.' }),
  D: Type.Integer({ description: 'Input size.' }),
  H: Type.Integer({ description: 'Hidden size, of the last recurrent layer.' }),
  t: mark.t,
  version: mark.version,
  digest: mark.digest,
  numerics: Type.Optional(
    Type.Integer({
      description:
        'Which bits the kernels compute that computed the state, or that served when it was set: the `numerics` of ' +
        '/health/ready then. Absent of states stored by versions that did not store it.',
    }),
  ),
  ttl_s: Type.Number({ description: 'Idle lifetime in seconds.' }),
  keep: Type.Integer({ description: 'How many past states are kept.' }),
  created_at: Type.String({ format: 'date-time' }),
  expires_at: mark.expires_at,
};

export const SessionInfo = Type.Object(info, { $id: 'SessionInfo', additionalProperties: false });

export const SessionWithState = Type.Object(
  {
    ...info,
    kept: Type.Array(Type.Integer(), {
      description: 'Steps whose states are kept, oldest first: where rewind can go.',
    }),
    h: hiddenStates('Hidden state.'),
    c: Type.Optional(cellStates('Cell state, if a layer is an lstm.')),
  },
  { $id: 'SessionWithState', additionalProperties: false },
);

export const SessionList = Type.Object(
  {
    sessions: Type.Array(ref(SessionInfo)),
    damaged: Type.Optional(
      Type.Immutable(
        Type.Array(Id, { description: 'Sessions whose stored records are damaged: they are not served.' }),
      ),
    ),
    next: Type.Optional(Type.String({ description: 'The cursor of the next page, if there is one.' })),
  },
  { $id: 'SessionList', additionalProperties: false },
);

export const StateBody = Type.Object(
  {
    h: hiddenStates('The new hidden state.'),
    c: Type.Optional(cellStates('The new cell state; required if a layer is an lstm.')),
    t: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: STEPS_MAX,
        description: 'Steps that it shall stand for; unchanged if absent.',
      }),
    ),
  },
  {
    $id: 'StateBody',
    additionalProperties: false,
  },
);

export const RewindBody = Type.Object(
  { t: Type.Integer({ minimum: 0, maximum: STEPS_MAX, description: 'A step whose state is kept.' }) },
  { $id: 'RewindBody', additionalProperties: false },
);

export const ListQuery = Type.Object(
  {
    limit: Type.Optional(
      pageLimit('1 … 1000, 100 if absent. Of large sessions a page has fewer: follow `next`.'),
    ),
    cursor: Type.Optional(
      Type.String({
        // An id that was issued, or what comes after all ids of a tenant (sessions/session-owner.ts).
        pattern: '^([A-Za-z0-9_-]{17}|([A-Za-z0-9_-]{16}[.])?[A-Za-z0-9_-]{22})$',
        description: '`next` of the page before, to be sent with the same `model`.',
      }),
    ),
    model: Type.Optional(
      Type.Unsafe<string>({
        ...ModelRef,
        description: 'Only the sessions with this model, a name or an id: those that pin it.',
      }),
    ),
  },
  { additionalProperties: false },
);

export const IdParams = Type.Object({ id: Id });

/** Headers of calls that change a session. */
const callHeaders = {
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        'Repeats of a call with the same key and body are answered as the first was, and change ' +
        'nothing. The last 64 keys of a session are remembered.',
    }),
  ),
  'if-match': Type.Optional(
    Type.String({
      description:
        'The ETag that the session must have, several of which one will do, or `*`; else 412 and ' +
        'nothing happens. Weak ETags, `W/"…"`, never match.',
    }),
  ),
};
export const CallHeaders = Type.Object(callHeaders);

export const CreateHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        'A repeat of the call with the same key and body creates nothing and is answered as the first was.',
    }),
  ),
});

export const ComputeHeaders = Type.Object({
  'x-session-id': Type.Optional(
    Type.String({ description: 'As `session` in the body; if both are there they must agree.' }),
  ),
  ...callHeaders,
});
