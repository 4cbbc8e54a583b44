// A node of the graph as the operators read it: its attributes and its inputs, checked.
import { malformed, notRead } from '../../../codec/onnx/errors.ts';
import type { AttributeProto, NodeProto } from '../../../codec/onnx/onnx_pb.ts';
import { readTensor } from '../../../codec/onnx/tensor.ts';
import { quote } from '../../../codec/safetensors/quote.ts';
import type { CarryoverError } from '../../../errors.ts';
import type { Budget } from './constants.ts';
import { type Constant, type Signal, type Value, constant } from './value.ts';

/** AttributeProto.AttributeType */
const TYPES = { f: 1, i: 2, s: 3, t: 4, floats: 6, ints: 7, strings: 8 } as const;
/** Of a list of axes, sizes or indices. */
const INTEGERS_MAX = 64;
/** Ends of slices may be the largest integer, and are rounded. */
const INTEGER_MAX = 2n ** 63n;

export interface NodeContext {
  /** Undefined where an optional input is left out. */
  readonly inputs: readonly (Value | undefined)[];
  /** The version of the operators. */
  readonly opset: number;
  readonly budget: Budget;
}

export class GraphNode {
  readonly op: string;
  /** As errors name it. */
  readonly title: string;
  readonly inputs: NodeContext['inputs'];
  readonly opset: number;
  readonly budget: Budget;
  readonly outputNames: readonly string[];
  readonly #attributes = new Map<string, AttributeProto>();

  /** @throws malformed_model_file if an attribute is there twice */
  constructor(proto: NodeProto, { inputs, opset, budget }: NodeContext) {
    this.op = proto.opType;
    this.title = titleOf(proto);
    this.inputs = inputs;
    this.opset = opset;
    this.budget = budget;
    this.outputNames = proto.output;
    for (const attribute of proto.attribute) {
      const { name } = attribute;
      if (this.#attributes.has(name)) throw malformed(`has ${this.title} with two attributes ${quote(name)}`);
      this.#attributes.set(name, attribute);
    }
  }

  /** model_file_unsupported: `The ONNX file has node "…" (Op), <found>. Expected <expected>.` */
  refusal(found: string, expected: string): CarryoverError {
    return notRead(`has ${this.title}, ${found}`, `Expected ${expected}.`);
  }

  /** malformed_model_file: `The ONNX file has node "…" (Op) <found>.` */
  malformed(found: string): CarryoverError {
    return malformed(`has ${this.title} ${found}`);
  }

  /** @throws malformed_model_file unless there is this input */
  input(index: number): Value {
    const value = this.inputs[index];
    if (!value) throw this.malformed(`without its input ${index}`);
    return value;
  }

  /** What x has become. @throws model_file_unsupported unless the input is that */
  signal(index: number): Signal {
    const value = this.input(index);
    if (value.kind === 'signal') return value;
    throw this.refusal('whose input does not depend on x', 'what a layer returns');
  }

  /** @param what it is, e.g. `axes` · @throws model_file_unsupported unless it is known in the file */
  constant(index: number, what: string): Constant {
    const value = this.input(index);
    if (value.kind === 'constant') return value;
    throw this.refusal(`whose ${what} depend on an input`, `${what} that are constant`);
  }

  /** The numbers of a short input. @throws as constant(), also if they are open sizes */
  integersOf(index: number, what: string): number[] {
    const { items } = this.constant(index, what);
    if (items.length > INTEGERS_MAX) throw this.refusal(`whose ${what} are ${items.length}`, `at most ${INTEGERS_MAX}`);
    return Array.from(items, (item) => {
      if (typeof item === 'number' && Number.isInteger(item)) return item;
      throw this.refusal(`whose ${what} depend on an input`, `${what} that are constant`);
    });
  }

  /** An axis as an index from 0 on. @throws malformed_model_file */
  axis(axis: number, rank: number): number {
    if (axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis;
    throw this.malformed(`for axis ${axis} of a tensor with ${rank} axes`);
  }

  has(name: string): boolean {
    return this.#attributes.has(name);
  }

  integer(name: string, otherwise: number): number {
    const found = this.#typed(name, 'i');
    return found ? this.#number(found.i, name) : otherwise;
  }

  integers(name: string): number[] | undefined {
    return this.#typed(name, 'ints')?.ints.map((value) => this.#number(value, name));
  }

  float(name: string, otherwise: number): number {
    return this.#typed(name, 'f')?.f ?? otherwise;
  }

  floats(name: string): number[] | undefined {
    return this.#typed(name, 'floats')?.floats;
  }

  string(name: string, otherwise: string): string {
    const found = this.#typed(name, 's');
    return found ? textOf(found.s) : otherwise;
  }

  strings(name: string): string[] | undefined {
    return this.#typed(name, 'strings')?.strings.map(textOf);
  }

  tensor(name: string): Constant | undefined {
    const found = this.#typed(name, 't');
    if (!found) return undefined;
    if (!found.t) throw this.malformed(`without a tensor in its attribute ${quote(name)}`);
    const [output = ''] = this.outputNames;
    const { shape, numbers, isInteger } = readTensor(found.t, output);
    return constant(shape, numbers, { isInteger, name: output });
  }

  #typed(name: string, type: keyof typeof TYPES): AttributeProto | undefined {
    const found = this.#attributes.get(name);
    // Files of the first versions of the format leave the type out.
    if (!found || found.type === 0 || found.type === TYPES[type]) return found;
    throw this.malformed(`with attribute ${quote(name)} of type ${found.type}, expected ${TYPES[type]}`);
  }

  #number(value: bigint, name: string): number {
    if (value >= -INTEGER_MAX && value <= INTEGER_MAX) return Number(value);
    throw this.malformed(`with ${value} in its attribute ${quote(name)}`);
  }
}

function titleOf({ name, opType, output: [first = ''] }: NodeProto): string {
  const op = quote(opType).slice(1, -1);
  return name === '' ? `the node (${op}) that makes ${quote(first)}` : `node ${quote(name)} (${op})`;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
