// A step or a sequence as it was asked for: as JSON or as a file, by POST or over a WebSocket.
import type { FastifyRequest } from 'fastify';
import type { TSchema } from 'typebox';
import type { ResponseBody } from '../../codec/response-body.ts';
import { type SafetensorsFile, readSafetensorsFile } from '../../codec/safetensors/read.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import type { RecurrenceInput } from '../../engine/shapes.ts';
import { invalidRequest } from '../../errors.ts';
import { DTYPES } from '../../tensor.ts';
import { isBodyHeld } from '../request.ts';

/** What is to be computed: with a session, the weights and h are the session's. */
export interface Computation {
  readonly input: Omit<RecurrenceInput, 'weights'> & {
    readonly weights: RecurrenceInput['weights'] | undefined;
  };
  readonly session: string | undefined;
}

/** How bodies of one kind become computations, and their results responses. */
export interface ComputationFormat<JsonBody, Request extends Computation> {
  readonly bodySchema: TSchema;
  /** @throws invalid_request · ragged_array */
  readonly readJson: (body: JsonBody) => Request;
  /** @throws invalid_request · shape_mismatch if a tensor has another rank */
  readonly readFile: (file: SafetensorsFile) => Request;
  readonly responseBodyOf: (result: RecurrenceTensors, request: Request) => ResponseBody;
}

/** Reads the body of a request. @throws malformed_safetensors · as ComputationFormat */
export function readComputation<JsonBody, Request extends Computation>(
  request: FastifyRequest,
  body: JsonBody | Buffer,
  { readJson, readFile }: ComputationFormat<JsonBody, Request>,
): Request {
  if (!Buffer.isBuffer(body)) return readJson(body);
  return request.lifetime.record.measure('readMs', () => {
    const file = readSafetensorsFile(body, () => isBodyHeld(request), DTYPES);
    request.sessionInFile = file.metadata.session;
    return readFile(file);
  });
}

/** The input of a computation without a session. @throws invalid_request if it has no weights */
export function expectWeights({ input }: Computation): RecurrenceInput {
  const { weights } = input;
  if (weights !== undefined) return { ...input, weights };
  throw invalidRequest('Expected one of `weights`, `model` and `session`, got none.', '');
}

/** @throws invalid_request if a computation on a session brings what the session has */
export function expectSessionOnly({ input: { weights, h, c } }: Computation): void {
  const given = [weights !== undefined && 'weights or model', h && 'h', c && 'c'].find(Boolean);
  if (!given) return;
  throw invalidRequest(
    `Expected neither weights, model, h nor c beside a session, which has them, got ${given}.`,
    '/session',
  );
}
