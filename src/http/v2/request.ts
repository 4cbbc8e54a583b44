// An inference request: what is to be computed, and which outputs are wanted in which form.
import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { tensorFromFile } from '../../codec/safetensors/tensor.ts';
import { expectShape } from '../../engine/expect-shape.ts';
import type { SessionInput } from '../../engine/session-steps.ts';
import { type Limits, expectWithinLimits } from '../../engine/shapes.ts';
import type { GivenStates } from '../../engine/states.ts';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import { type TensorSource, formatShape, sizeOf } from '../../tensor.ts';
import { isListedState } from '../compute/file-body.ts';
import { fileStates } from '../compute/file-states.ts';
import { isBodyHeld } from '../request.ts';
import { type InputTensor, readInputs } from './inputs.ts';
import {
  type Parameters,
  type SequenceParameters,
  expectKnown,
  expectNoPriority,
  readFlag,
  readSequence,
} from './parameters.ts';
import type { InferenceBody } from './schemas.ts';

const PARAMETERS = ['sequence_id', 'sequence_start', 'sequence_end', 'binary_data_output', 'priority', 'timeout'];
const INPUTS = ['x', 'h', 'c', 'lengths'];

export interface InferenceRequest {
  readonly input: SessionInput;
  /** The states before the first step; zeros where absent. */
  readonly states: GivenStates;
  readonly sequence: SequenceParameters | undefined;
  readonly id: string | undefined;
  /** Undefined if all are wanted. */
  readonly outputs: readonly RequestedOutput[] | undefined;
  /** Whether an output is sent as bytes, unless the request says otherwise of it. */
  readonly isBinary: boolean;
}

export interface RequestedOutput {
  readonly name: string;
  readonly isBinary: boolean;
}

/**
 * @param model as in the address
 * @param limits of the service: lengths are numbers in JavaScript, of which only as many are made as there may be rows
 * @throws invalid_request · ragged_array · out_of_range · shape_mismatch · limit_exceeded
 */
export function readInferenceRequest(
  request: FastifyRequest,
  body: Static<typeof InferenceBody>,
  model: string,
  limits: Limits,
): InferenceRequest {
  const { id, model_name, parameters = {}, inputs, outputs: requested } = body;
  if (model_name !== undefined && model_name !== model) {
    throw invalidRequest(`model_name is ${JSON.stringify(model_name.slice(0, 80))}, but the address is that of '${model}'.`, '/model_name');
  }
  expectKnown(parameters, PARAMETERS, 'a request');
  expectNoPriority(parameters);
  const isBinary = readFlag(parameters, 'binary_data_output') ?? false;
  const outputs = requested?.length ? requested.map((output) => readOutput(output, isBinary)) : undefined;
  expectOnce(outputs ?? []);
  const tensors = readInputs(inputs, request.rawTensors, () => isBodyHeld(request));
  const x = inputOf(tensors);
  const wantsSteps = outputs === undefined || outputs.some(({ name }) => name === 'hs' || name === 'ys');
  const N = sizeOf(x, 'N');
  expectWithinLimits({ N }, limits);
  const input = {
    x,
    lengths: lengthsOf(tensors.get('lengths'), N),
    keepsStates: wantsSteps && x.axes.includes('T'),
    trace: false,
  };
  return { input, states: statesOf(tensors), sequence: readSequence(parameters), id, outputs, isBinary };
}

function readOutput(
  { name, parameters = {} }: { readonly name: string; readonly parameters?: Parameters },
  isBinary: boolean,
): RequestedOutput {
  expectKnown(parameters, ['binary_data'], `the output ${JSON.stringify(name.slice(0, 40))}`);
  return { name, isBinary: readFlag(parameters, 'binary_data') ?? isBinary };
}

/** @throws invalid_request */
function expectOnce(outputs: readonly RequestedOutput[]): void {
  const names = outputs.map(({ name }) => name);
  const twice = names.findIndex((name, k) => names.indexOf(name) < k);
  if (twice < 0) return;
  throw invalidRequest(`outputs[${twice}], ${JSON.stringify(names[twice]!.slice(0, 40))}, is there twice.`, `/outputs/${twice}/name`);
}

/** x (T, N, D) or (N, D); with integers (T, N) or (N). @throws invalid_request · shape_mismatch */
function inputOf(tensors: ReadonlyMap<string, InputTensor>): TensorSource {
  const unknown = [...tensors.keys()].find((name) => !INPUTS.includes(name) && !isListedState(name));
  if (unknown !== undefined) {
    const shown = JSON.stringify(unknown.slice(0, 40));
    throw invalidRequest(`${shown} is no input of a model; expected ${INPUTS.join(', ')}, or h.0, c.0 … of several layers.`, '/inputs');
  }
  const found = tensors.get('x');
  if (!found) throw invalidRequest(`The input x is required; the request has ${[...tensors.keys()].join(', ')}.`, '/inputs');
  const { tensor, isInteger } = found;
  if (isInteger && tensor.shape.length > 2) {
    throw invalidRequest(
      `x has a datatype of integers and shape ${formatShape(tensor.shape)}: integers are row numbers of an embedding, (T, N) or (N); numbers are FP32, (T, N, D) or (N, D).`,
      '/inputs',
    );
  }
  const axes = isInteger ? 'TN' : 'TND';
  return tensorFromFile('x', tensor.shape.length === axes.length - 1 ? axes.slice(1) : axes, tensor);
}

/** @throws shape_mismatch · invalid_request */
function statesOf(tensors: ReadonlyMap<string, InputTensor>): GivenStates {
  const states = [...tensors].filter(([name]) => name !== 'x' && name !== 'lengths');
  const integers = states.find(([, { isInteger }]) => isInteger);
  if (integers) throw invalidRequest(`${integers[0]} has a datatype of integers, expected FP32.`, '/inputs');
  return fileStates({ tensors: new Map(states.map(([name, { tensor }]) => [name, tensor])) });
}

/** @throws shape_mismatch · invalid_request · out_of_range */
function lengthsOf(lengths: InputTensor | undefined, N: number): number[] | undefined {
  if (!lengths) return undefined;
  const { tensor, isInteger } = lengths;
  if (!isInteger) throw invalidRequest('lengths has a datatype of real numbers, expected INT32 or INT64.', '/inputs');
  expectShape(tensorFromFile('lengths', 'N', tensor), [N], `x makes N = ${N}: one number of steps for each row`);
  const numbers = Array.from(tensor.data);
  const wrong = numbers.findIndex((length) => !Number.isInteger(length) || length < 0);
  if (wrong < 0) return numbers;
  const message = `lengths[${wrong}] is ${numbers[wrong]}, expected an integer from 0 on.`;
  throw new CarryoverError('out_of_range', { detail: message, errors: [{ pointer: `/lengths/${wrong}`, message }] });
}
