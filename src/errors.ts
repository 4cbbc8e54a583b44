// Every error the service can answer with, once: code → status, title and what to do next. The
// `type` of a problem is `/problems#<code>`, a page made from this table (http/routes/problems.ts).

interface ErrorKind {
  readonly status: number;
  readonly title: string;
  /** One sentence for the person who reads the problem page. */
  readonly advice: string;
  /** Seconds for the Retry-After header, on refusals that pass by themselves. */
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
  not_found: {
    status: 404,
    title: 'There is nothing at this address',
    advice: 'The addresses are listed in /docs.',
  },
  model_not_found: {
    status: 404,
    title: 'There is no such model',
    advice: 'Register it with POST /v1/models; GET /v1/models lists those that are there.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The method is not allowed here',
    advice: 'Use one of the methods in the Allow header.',
  },
  not_acceptable: {
    status: 406,
    title: 'No acceptable type of answer',
    advice: 'Accept application/json or application/vnd.carryover.safetensors.',
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
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    advice: 'Send fewer rows or steps at a time, or raise BODY_BYTES_MAX.',
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
  limit_exceeded: {
    status: 422,
    title: 'A limit of this server is exceeded',
    advice: 'Split the request, or raise the limit named in the detail.',
  },
  unknown_tensors: {
    status: 422,
    title: 'The tensors are not those of one recurrent layer',
    advice: 'Name them W_x, W_h, b, as torch (rnn.weight_ih_l0 …) or as Keras (kernel …) does.',
  },
  headers_too_large: {
    status: 431,
    title: 'The headers are too large',
    advice: 'Send fewer or shorter headers.',
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
    title: 'There is no room for another model',
    advice: 'Delete models that are not used, or raise the limit named in the detail.',
  },
  shutting_down: {
    status: 503,
    title: 'The server is shutting down',
    advice: 'Retry; another instance will answer.',
    retryAfter_s: 1,
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** Where in the body something is wrong: a JSON pointer (RFC 6901) and a sentence. */
export interface ErrorPlace {
  readonly pointer: string;
  readonly message: string;
}

export class CarryoverError extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly ErrorPlace[];

  constructor(
    code: ErrorCode,
    { detail, errors = [], cause }: { detail: string; errors?: readonly ErrorPlace[]; cause?: unknown },
  ) {
    super(detail, { cause });
    this.name = 'CarryoverError';
    this.code = code;
    this.errors = errors;
  }

  get kind(): ErrorKind {
    return ERRORS[this.code];
  }
}
