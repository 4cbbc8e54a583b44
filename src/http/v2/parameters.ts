// Parameters of the Open Inference Protocol. One that is not known is refused: whoever sent it expects an effect.
import { invalidRequest } from '../../errors.ts';
import { got } from '../validation.ts';

export type Parameters = Readonly<Record<string, unknown>>;

const SEQUENCE_ID_MAX = 2n ** 64n - 1n;
const SEQUENCE_ID_CHARACTERS_MAX = 256;

export interface SequenceParameters {
  /** The id as JSON: a number and a string are two ids. */
  readonly id: string;
  readonly starts: boolean;
  readonly ends: boolean;
}

/** @param place of the parameters, for errors · @throws invalid_request */
export function expectKnown(parameters: Parameters, known: readonly string[], place: string): void {
  const unknown = Object.keys(parameters).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw invalidRequest(
    `${JSON.stringify(unknown.slice(0, 40))} is no parameter of ${place} here; expected ${known.join(', ') || 'none'}.`,
    `/parameters/${unknown.slice(0, 40)}`,
  );
}

/** @throws invalid_request */
export function readFlag(parameters: Parameters, name: string): boolean | undefined {
  const value = parameters[name];
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalidRequest(`Expected parameters.${name} to be true or false, got ${got(value)}.`, `/parameters/${name}`);
}

/** Every request has the deadline of the service and its turn: what asks for others is refused. @throws invalid_request */
export function expectNoPriority(parameters: Parameters): void {
  for (const name of ['priority', 'timeout']) {
    if (parameters[name] === undefined || parameters[name] === 0) continue;
    const why = name === 'timeout' ? 'every request has the deadline JOB_DEADLINE_MS' : 'requests are served by turns';
    throw invalidRequest(`Expected parameters.${name} to be 0 or absent: ${why}.`, `/parameters/${name}`);
  }
}

/** The sequence of a request; undefined if it has none. @throws invalid_request */
export function readSequence(parameters: Parameters): SequenceParameters | undefined {
  const starts = readFlag(parameters, 'sequence_start') ?? false;
  const ends = readFlag(parameters, 'sequence_end') ?? false;
  const id = readSequenceId(parameters.sequence_id);
  if (id !== undefined) return { id, starts, ends };
  if (!starts && !ends) return undefined;
  throw invalidRequest(
    'sequence_start and sequence_end need a sequence_id: an integer from 1 to 2^64 - 1, or a string that is not empty.',
    '/parameters/sequence_id',
  );
}

/** @param id a bigint if it was written as an integer without sign */
function readSequenceId(id: unknown): string | undefined {
  if (id === undefined || id === 0n || id === '') return undefined;
  if (typeof id === 'bigint' && id <= SEQUENCE_ID_MAX) return String(id);
  if (typeof id === 'string' && id.length <= SEQUENCE_ID_CHARACTERS_MAX) return JSON.stringify(id);
  throw invalidRequest(
    `Expected parameters.sequence_id to be an integer from 0 to 2^64 - 1, or a string of at most ` +
      `${SEQUENCE_ID_CHARACTERS_MAX} characters.`,
    '/parameters/sequence_id',
  );
}
