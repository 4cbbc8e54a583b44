// Steps as messages that name their sessions, in the forms that POST /v1/batch and GET /v1/stream take, and their answers.
import { writeSafetensors } from '../helpers/safetensors.ts';
import { readSafetensorsFile } from '../../src/codec/safetensors/read.ts';
import type { Mark, OwnStep } from './own-session.ts';
import { type Row, rowJson } from './states.ts';

export interface StepMessage {
  readonly step: OwnStep;
  /** Comes back in the answer. */
  readonly id: string;
  /** Whether it is to be refused unless the message before it of the same session was applied. */
  readonly isBound: boolean;
}

/** An entry of a batch, or the answer to a message. */
export interface StepAnswer {
  readonly id: string;
  readonly session?: Mark;
  readonly replayed?: boolean | string;
  readonly error?: { readonly status: number; readonly code: string; readonly detail: string };
}

export interface BatchFormat {
  readonly type: string;
  readonly bodyOf: (messages: readonly StepMessage[]) => string | Uint8Array;
  readonly entriesOf: (bytes: Buffer) => readonly StepAnswer[];
}

const BATCH_FILE: BatchFormat = {
  type: 'application/vnd.carryover.safetensors',
  bodyOf: (messages) => {
    const tensors = messages.map(({ step }, k) => [`${k}.x`, tensorOf(step.xs)] as const);
    return writeSafetensors(Object.fromEntries(tensors), { items: JSON.stringify(messages.map(fieldsOf)) });
  },
  entriesOf: (bytes) => JSON.parse(readSafetensorsFile(bytes).metadata.items!) as StepAnswer[],
};

export const BATCH_FORMATS: readonly [BatchFormat, ...BatchFormat[]] = [
  {
    type: 'application/json',
    bodyOf: (messages) => JSON.stringify({ items: messages.map(jsonOf) }),
    entriesOf: (bytes) => (JSON.parse(bytes.toString()) as { items: StepAnswer[] }).items,
  },
  {
    type: 'application/x-ndjson',
    bodyOf: (messages) => messages.map((message) => `${JSON.stringify(jsonOf(message))}\n`).join(''),
    entriesOf: (bytes) => bytes.toString().split('\n').filter(Boolean).map((line) => JSON.parse(line) as StepAnswer),
  },
  BATCH_FILE,
];

/** A message of a socket: text, or a safetensors file. */
export function socketMessageOf(message: StepMessage, isBinary: boolean): string | Buffer {
  if (!isBinary) return JSON.stringify(jsonOf(message));
  return Buffer.from(writeSafetensors({ x: tensorOf(message.step.xs) }, fieldsOf(message)));
}

export function answerOf(data: string | Buffer): StepAnswer {
  if (typeof data === 'string') return JSON.parse(data) as StepAnswer;
  const { id, session, replayed } = readSafetensorsFile(data).metadata;
  return { id: id!, session: JSON.parse(session!) as Mark, ...(replayed && { replayed }) };
}

function fieldsOf({ step, id, isBound }: StepMessage): Record<string, string> {
  const { session } = step;
  return { session: session.id, id, key: session.keyOf(step), ...(isBound && { if_match: 'previous' }) };
}

function jsonOf(message: StepMessage): object {
  const [first, ...more] = message.step.xs.map(rowJson);
  return { ...fieldsOf(message), x: more.length === 0 ? first : [first, ...more] };
}

/** (N, D) or (T, N, D); of row numbers (N) or (T, N). */
function tensorOf(xs: readonly Row[]) {
  const isTokens = xs[0] instanceof Uint32Array;
  const numbers = xs.flatMap((row) => [...row]);
  const shape = [...(xs.length === 1 ? [] : [xs.length]), 1, ...(isTokens ? [] : [xs[0]!.length])];
  return { shape, data: isTokens ? Int32Array.from(numbers) : Float32Array.from(numbers) };
}
