// Exit codes, those of sysexits.h where it has one, and the problem codes of the API as exit codes.
import type { ErrorCode } from '../error-kinds.ts';

export const EXIT = {
  ok: 0,
  /** A comparison was made, and its result is no. */
  no: 1,
  usage: 64,
  data: 65,
  noInput: 66,
  unavailable: 69,
  software: 70,
  cannotCreate: 73,
  temporary: 75,
  config: 78,
  /** 128 + SIGINT, as shells have it. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What each exit code means, as `carryover --help` and the documentation show it. */
export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'a comparison found a difference beyond the tolerance',
  64: 'the command line is wrong',
  65: 'a file or an input is not as expected',
  66: 'a file, a model or a session does not exist, or cannot be read',
  69: 'no service answers, or it does not offer this',
  70: 'a defect of the command or of the service',
  73: 'a file, a model or a session cannot be created or changed',
  75: 'it may succeed later: the service is busy, or the session is at another version',
  78: 'a setting or the Node.js version is wrong',
  130: 'ended by Ctrl-C',
};

/** Complete by its type: a new problem code needs a row. */
export const EXIT_OF_PROBLEM: Readonly<Record<ErrorCode, ExitCode>> = {
  malformed_json: EXIT.data,
  duplicate_key: EXIT.data,
  invalid_request: EXIT.data,
  ragged_array: EXIT.data,
  malformed_safetensors: EXIT.data,
  malformed_model_file: EXIT.data,
  model_file_unsupported: EXIT.data,
  not_found: EXIT.unavailable,
  model_not_found: EXIT.noInput,
  session_not_found: EXIT.noInput,
  method_not_allowed: EXIT.unavailable,
  not_acceptable: EXIT.unavailable,
  request_timeout: EXIT.temporary,
  name_taken: EXIT.cannotCreate,
  built_in_model: EXIT.cannotCreate,
  model_pinned: EXIT.cannotCreate,
  idempotency_key_in_use: EXIT.temporary,
  session_gone: EXIT.noInput,
  session_corrupt: EXIT.noInput,
  model_corrupt: EXIT.noInput,
  step_conflict: EXIT.temporary,
  body_too_large: EXIT.data,
  unsupported_media_type: EXIT.unavailable,
  expectation_failed: EXIT.software,
  shape_mismatch: EXIT.data,
  out_of_range: EXIT.data,
  not_finite: EXIT.data,
  model_unsupported: EXIT.data,
  limit_exceeded: EXIT.data,
  unknown_tensors: EXIT.data,
  layers_unconfirmed: EXIT.data,
  activation_unconfirmed: EXIT.data,
  activation_unsupported: EXIT.data,
  idempotency_key_reused: EXIT.data,
  state_not_kept: EXIT.data,
  answer_not_kept: EXIT.data,
  upgrade_required: EXIT.unavailable,
  headers_too_large: EXIT.software,
  client_closed: EXIT.software,
  internal: EXIT.software,
  worker_failed: EXIT.software,
  session_busy: EXIT.temporary,
  store_unavailable: EXIT.temporary,
  queue_full: EXIT.temporary,
  deadline_exceeded: EXIT.temporary,
  memory_full: EXIT.temporary,
  models_full: EXIT.cannotCreate,
  sessions_full: EXIT.cannotCreate,
  store_full: EXIT.cannotCreate,
  shutting_down: EXIT.temporary,
};
