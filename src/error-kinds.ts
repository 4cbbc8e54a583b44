// The table of all errors with which the service answers: code → status, title and advice. The `type` of a problem
// (RFC 9457) is `/problems#<code>`, a page made from this table (http/ops/problems.ts).

export interface ErrorKind {
  /** The status of the response. */
  readonly status: number;
  /** The `title` of the problem. */
  readonly title: string;
  /** What to do next, on the problem page. */
  readonly advice: string;
  /** Seconds for the Retry-After header; only for errors that pass by themselves. */
  readonly retryAfter_s?: number;
}

export const ERRORS = {
  malformed_json: {
    status: 400,
    title: 'The body is not JSON',
    advice: 'Send one JSON object in UTF-8. The detail says where reading stopped.',
  },
  duplicate_key: {
    status: 400,
    title: 'A key appears twice',
    advice: 'Send each key once: which of two values was meant cannot be guessed.',
  },
  invalid_request: {
    status: 400,
    title: 'The request does not fit its schema',
    advice: 'Compare the fields named in `errors` with the schema in /docs. Nothing is coerced.',
  },
  ragged_array: {
    status: 400,
    title: 'An array is ragged',
    advice: 'Give every row of a tensor the same length; for rows of unequal T send `lengths`.',
  },
  malformed_safetensors: {
    status: 400,
    title: 'The body is not a safetensors file',
    advice: 'Write it with a safetensors library, dtypes F32, F64, F16 or BF16.',
  },
  malformed_model_file: {
    status: 400,
    title: 'The body is no whole model file',
    advice: 'Write the file again, or send it as safetensors.',
  },
  model_file_unsupported: {
    status: 422,
    title: 'The file has more than the weights of a model',
    advice: 'Write a file with the weights alone, as the detail says.',
  },
  unauthenticated: {
    status: 401,
    title: 'Who calls is not known',
    advice: 'Send an API key or a token as `Authorization: Bearer …` or `x-api-key: …`. The operator of the service issues them.',
  },
  forbidden: {
    status: 403,
    title: 'The key or token does not allow this',
    advice: 'Use one that has the scope which the detail names, or ask the operator of the service for it.',
  },
  origin_not_allowed: {
    status: 403,
    title: 'Pages of this origin may not connect',
    advice: 'Open the WebSocket from a page of the service, or add the origin of the page to CORS_ORIGINS.',
  },
  misdirected_request: {
    status: 421,
    title: 'The request names another host',
    advice: 'Use a host name of the service. Whoever runs it lists its names in ALLOWED_HOSTS.',
  },
  not_found: {
    status: 404,
    title: 'There is nothing at this address',
    advice: 'The addresses are listed in /docs.',
  },
  model_not_found: {
    status: 404,
    title: 'There is no such model',
    advice: 'Register it with POST /v1/models; GET /v1/models lists the registered ones.',
  },
  session_not_found: {
    status: 404,
    title: 'There is no such session',
    advice: 'Create one with POST /v1/sessions. Ids are issued by the server and never reused.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The method is not allowed here',
    advice: 'Use one of the methods in the Allow header.',
  },
  not_acceptable: {
    status: 406,
    title: 'No acceptable type of answer',
    advice: 'Accept one of the types that the detail lists; application/json is always among them.',
  },
  request_timeout: {
    status: 408,
    title: 'The request did not arrive in time',
    advice: 'Send the whole request within the time limit, or in smaller parts.',
  },
  name_taken: {
    status: 409,
    title: 'The name points to another model',
    advice: 'Move it with PUT /v1/models/{name}, or choose another name.',
  },
  built_in_model: {
    status: 409,
    title: 'The name belongs to a built-in model',
    advice: 'Choose another name: a built-in model can be neither moved nor deleted.',
  },
  model_pinned: {
    status: 409,
    title: 'Sessions use the model',
    advice: 'Delete its sessions, which GET /v1/sessions?model= lists, or let them expire.',
  },
  idempotency_key_in_use: {
    status: 409,
    title: 'A call with this Idempotency-Key is running',
    advice: 'Retry after the time in Retry-After: by then the answer of the first call is available.',
    retryAfter_s: 1,
  },
  session_gone: {
    status: 410,
    title: 'The session is gone',
    advice: 'It was deleted or has expired, as `reason` says; `t` is the last step it took.',
  },
  session_corrupt: {
    status: 410,
    title: 'The stored session is damaged',
    advice: 'Its checksum is wrong, so it is not served. Restore the store from a backup, or begin anew.',
  },
  model_corrupt: {
    status: 410,
    title: 'The stored model is damaged',
    advice: 'It is not what its id says, so it is not served. Register the weights again; if that does not repair it, delete it first.',
  },
  step_conflict: {
    status: 412,
    title: 'The session is at another version',
    advice: 'Nothing was applied. Read the session; `t` and `version` say at which state it is.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    advice: 'Send fewer rows or steps at a time or a smaller model, or raise BODY_BYTES_MAX.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body has an unsupported type or encoding',
    advice: 'Send JSON or, where the address takes it, safetensors, uncompressed.',
  },
  expectation_failed: {
    status: 417,
    title: 'The expectation cannot be met',
    advice: 'Leave the Expect header out, or send `100-continue`.',
  },
  shape_mismatch: {
    status: 422,
    title: 'Shapes do not fit together',
    advice: 'The detail names the tensor, its shape, the shape expected and why.',
  },
  out_of_range: {
    status: 422,
    title: 'A number is out of range',
    advice: 'The element named in `errors` is beyond what its field can hold.',
  },
  not_finite: {
    status: 422,
    title: 'A result is not finite',
    advice: 'The sums overflowed float32 at the element named. Scale the weights or the inputs down.',
  },
  model_unsupported: {
    status: 422,
    title: 'The model cannot be used in this way',
    advice: 'The detail names the layer and the reason. A model with a reversed layer takes whole sequences only.',
  },
  limit_exceeded: {
    status: 422,
    title: 'A limit of this server is exceeded',
    advice: 'Split the request, or raise the limit named in the detail.',
  },
  unknown_tensors: {
    status: 422,
    title: 'The tensors are not all those of known layers',
    advice:
      'Name them W_x, W_h, b, as torch (rnn.weight_ih_l0 …) or as Keras (kernel …) does; which layer ' +
      'computes y from h can be said with ?readout=NAME, and what all layers are with ?layers=[…].',
  },
  layers_unconfirmed: {
    status: 422,
    title: 'The file does not say what its layers compute, or in which order',
    advice: 'Describe the layers in their order with ?layers=[…], or as carryover.layers in the metadata of the file.',
  },
  activation_unconfirmed: {
    status: 422,
    title: 'The file does not say the activation',
    advice: 'If the layer was made with tanh, send the file with ?activation=tanh; with a description, as its activation.',
  },
  activation_unsupported: {
    status: 422,
    title: 'The activation is not supported',
    advice: 'An rnn layer is computed with tanh or relu, a gru and an lstm with tanh, the short form {"weights"} with tanh.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The Idempotency-Key belongs to another request',
    advice: 'Use a new key for every new request, and the same key only to repeat one unchanged.',
  },
  state_not_kept: {
    status: 422,
    title: 'No state of this step is kept',
    advice: 'Rewind to one of the steps in `kept`; `keep` at creation says how many are kept.',
  },
  answer_not_kept: {
    status: 422,
    title: 'The call was applied, and its answer cannot be given again',
    advice: 'Do not send it again: it counted, as `applied` says. Read the session to go on from its state.',
  },
  upgrade_required: {
    status: 426,
    title: 'This address speaks WebSocket',
    advice: 'Open it with a WebSocket client, or use /v1/step and /v1/sequence.',
  },
  headers_too_large: {
    status: 431,
    title: 'The headers are too large',
    advice: 'Send fewer or shorter headers.',
  },
  client_closed: {
    status: 499,
    title: 'The client closed the connection',
    advice: 'Seen in the log only, as the response could not be sent. Nothing was applied.',
  },
  rate_limited: {
    status: 429,
    title: 'A limit of the tenant or the key is reached',
    advice: 'Retry after Retry-After. RateLimit says how much is left; the operator sets the limits.',
    retryAfter_s: 1,
  },
  internal: {
    status: 500,
    title: 'The server failed',
    advice: 'Report the request id in `instance`; the log has the cause.',
  },
  worker_failed: {
    status: 500,
    title: 'The worker computing this request failed',
    advice: 'Only this request was hit. Send it again; report its `instance` if that fails too.',
  },
  access_unavailable: {
    status: 503,
    title: 'Tokens cannot be checked at the moment',
    advice: 'Retry after Retry-After: the issuer of the tokens does not answer. API keys are not affected.',
    retryAfter_s: 5,
  },
  session_busy: {
    status: 503,
    title: 'Too many calls are waiting for the session',
    advice: 'Send the calls of one session one after another, or retry after Retry-After.',
    retryAfter_s: 1,
  },
  store_unavailable: {
    status: 503,
    title: 'The session store does not answer',
    advice: 'Retry with the same Idempotency-Key: `applied` says whether the call may have counted.',
    retryAfter_s: 1,
  },
  queue_full: {
    status: 503,
    title: 'Too many requests are waiting',
    advice: 'Retry after the time in Retry-After.',
    retryAfter_s: 1,
  },
  deadline_exceeded: {
    status: 503,
    title: 'The request was not computed in time',
    advice: 'Retry later, send less at a time, or raise JOB_DEADLINE_MS.',
    retryAfter_s: 1,
  },
  memory_full: {
    status: 503,
    title: 'The tensor memory is full',
    advice: 'Retry when other requests are done, send less at a time, or raise MEMORY_BYTES_MAX.',
    retryAfter_s: 1,
  },
  models_full: {
    status: 507,
    title: 'No more models can be registered',
    advice: 'Delete models that are not used, or raise the limit named in the detail.',
  },
  sessions_full: {
    status: 507,
    title: 'No more sessions can be created',
    advice: 'Delete sessions, let them expire sooner, or raise the limit named in the detail.',
  },
  store_full: {
    status: 507,
    title: 'The session store is full',
    advice: 'Free space where the store keeps its data, then repeat the call; this attempt changed nothing.',
  },
  shutting_down: {
    status: 503,
    title: 'The server is shutting down',
    advice: 'Retry; another instance will answer.',
    retryAfter_s: 1,
  },
} as const satisfies Record<string, ErrorKind>;

/** The `code` of a problem. */
export type ErrorCode = keyof typeof ERRORS;
