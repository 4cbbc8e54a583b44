// Reads the pickle of a state dict. A pickle is a program for a stack machine, which in Python can call any function.
// This machine knows the instructions that state dicts need, and of functions the few in GLOBALS, which make values and
// nothing else; whatever else a pickle has is refused by its name. https://docs.python.org/3/library/pickletools.html
//
// Values are null, booleans, numbers, strings, arrays (lists and tuples), Maps (dicts), and Globals.
import { malformed, notRead } from './errors.ts';
import { INSTRUCTIONS, type Instruction, STOP } from './instructions.ts';

/** Of 2,000 tensors, about: whatever is in a pickle of this size is read within some milliseconds. */
const BYTES_MAX = 256 * 1024;

/** A class or a function by its name, which is never imported. */
export class Global {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** What a Global makes of its arguments. */
export type Globals = Readonly<Record<string, (args: readonly unknown[]) => unknown>>;

/**
 * The value that a pickle stands for.
 *
 * @param globals that may be called
 * @param isNamed whether a pickle may name a Global that is not called
 * @param load makes the value of a persistent id: of a tensor's storage
 * @throws malformed_model_file · model_file_unsupported
 */
export function readPickle(
  bytes: Uint8Array,
  globals: Globals,
  isNamed: (name: string) => boolean,
  load: (id: unknown) => unknown,
): unknown {
  if (bytes.length > BYTES_MAX) {
    throw notRead(`has a pickle of ${bytes.length} bytes, and at most ${BYTES_MAX} are read`);
  }
  return new Machine(bytes, globals, isNamed, load).run();
}

class Machine {
  readonly #bytes: Buffer;
  readonly #globals: Globals;
  readonly #isNamed: (name: string) => boolean;
  readonly #load: (id: unknown) => unknown;
  #at = 0;
  readonly #stack: unknown[] = [];
  /** Heights of the stack at its marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(
    bytes: Uint8Array,
    globals: Globals,
    isNamed: (name: string) => boolean,
    load: (id: unknown) => unknown,
  ) {
    this.#bytes = Buffer.from(bytes);
    this.#globals = globals;
    this.#isNamed = isNamed;
    this.#load = load;
  }

  run(): unknown {
    for (;;) {
      const at = this.#at;
      const code = this.#u8();
      if (code === STOP) return this.#pop();
      const instruction = INSTRUCTIONS.get(code);
      if (!instruction) {
        throw notRead(`has the pickle instruction 0x${code.toString(16).padStart(2, '0')} at byte ${at}, which is not read`);
      }
      this.#execute(instruction);
    }
  }

  #execute(instruction: Instruction): void {
    switch (instruction) {
      case 'PROTO':
        return this.#expectProtocol(this.#u8());
      case 'FRAME':
        // The length of the instructions that follow, which are read one by one.
        this.#skip(8);
        return;
      case 'NONE':
        return this.#push(null);
      case 'NEWTRUE':
        return this.#push(true);
      case 'NEWFALSE':
        return this.#push(false);
      case 'EMPTY_DICT':
        return this.#push(new Map());
      case 'EMPTY_LIST':
      case 'EMPTY_TUPLE':
        return this.#push([]);
      case 'BININT1':
        return this.#push(this.#u8());
      case 'BININT2':
        return this.#push(this.#bytes.readUInt16LE(this.#skip(2)));
      case 'BININT':
        return this.#push(this.#bytes.readInt32LE(this.#skip(4)));
      case 'LONG1':
        return this.#push(this.#long(this.#u8()));
      case 'BINFLOAT':
        return this.#push(this.#bytes.readDoubleBE(this.#skip(8)));
      case 'SHORT_BINUNICODE':
        return this.#push(this.#text(this.#u8()));
      case 'BINUNICODE':
        return this.#push(this.#text(this.#u32()));
      case 'BINPUT':
        return this.#store(this.#u8());
      case 'LONG_BINPUT':
        return this.#store(this.#u32());
      case 'MEMOIZE':
        return this.#store(this.#memo.size);
      case 'BINGET':
        return this.#fetch(this.#u8());
      case 'LONG_BINGET':
        return this.#fetch(this.#u32());
      case 'MARK':
        this.#marks.push(this.#stack.length);
        return;
      case 'TUPLE1':
        return this.#push(this.#take(1));
      case 'TUPLE2':
        return this.#push(this.#take(2));
      case 'TUPLE3':
        return this.#push(this.#take(3));
      case 'TUPLE':
        return this.#push(this.#sinceMark());
      case 'APPEND':
        return this.#append(this.#take(1));
      case 'APPENDS':
        return this.#append(this.#sinceMark());
      case 'SETITEM':
        return this.#setItems(this.#take(2));
      case 'SETITEMS':
        return this.#setItems(this.#sinceMark());
      case 'BINPERSID':
        return this.#push(this.#load(this.#pop()));
      case 'GLOBAL':
        return this.#name(this.#line(), this.#line());
      case 'STACK_GLOBAL': {
        const [module, name] = this.#take(2);
        return this.#name(module, name);
      }
      case 'REDUCE': {
        const [callee, args] = this.#take(2);
        return this.#call(callee, args);
      }
      case 'BUILD':
        // Attributes. Those of a dict, as the `_metadata` of a state dict, are not part of its tensors.
        this.#take(1);
        if (!(this.#top() instanceof Map)) throw notRead('sets the attributes of an object, which is not read');
    }
  }

  #expectProtocol(version: number): void {
    if (version > 5) throw notRead(`has a pickle of protocol ${version}; 2 to 5 are read`);
  }

  /** Little-endian, in two's complement. Nothing in a state dict is larger than a size or a count. */
  #long(size: number): number {
    if (size > 6) throw notRead(`has an integer of ${size} bytes`);
    return size === 0 ? 0 : this.#bytes.readIntLE(this.#skip(size), size);
  }

  #append(items: readonly unknown[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) throw malformed('appends to what is no list');
    for (const item of items) list.push(item);
  }

  #call(callee: unknown, args: unknown): void {
    if (!(callee instanceof Global) || !Array.isArray(args)) throw malformed('calls what is no function');
    if (!Object.hasOwn(this.#globals, callee.name)) throw refusalOf(callee.name);
    this.#push(this.#globals[callee.name]!(args));
  }

  #name(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') throw malformed('names no function where it has to');
    const full = `${module}.${name}`;
    if (!Object.hasOwn(this.#globals, full) && !this.#isNamed(full)) throw refusalOf(full);
    this.#push(new Global(full));
  }

  #setItems(items: readonly unknown[]): void {
    const dict = this.#top();
    if (!(dict instanceof Map) || items.length % 2 !== 0) throw malformed('sets an item of what is no dict');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  }

  #store(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #fetch(index: number): void {
    if (!this.#memo.has(index)) throw malformed(`reads what was not stored, number ${index} of its memo`);
    this.#push(this.#memo.get(index));
  }

  #push(value: unknown): void {
    this.#stack.push(value);
  }

  #pop(): unknown {
    return this.#take(1)[0];
  }

  #top(): unknown {
    if (this.#stack.length <= this.#floor()) throw malformed('has a pickle whose stack is empty too early');
    return this.#stack.at(-1);
  }

  #take(count: number): unknown[] {
    if (this.#stack.length - count < this.#floor()) throw malformed('has a pickle whose stack is empty too early');
    return this.#stack.splice(this.#stack.length - count, count);
  }

  #sinceMark(): unknown[] {
    const height = this.#marks.pop();
    if (height === undefined) throw malformed('has a pickle that lacks a mark');
    return this.#stack.splice(height);
  }

  /** What stands below the last mark is not taken. */
  #floor(): number {
    return this.#marks.at(-1) ?? 0;
  }

  #text(length: number): string {
    const start = this.#skip(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw endsEarly();
    const start = this.#skip(end + 1 - this.#at);
    return this.#bytes.toString('latin1', start, end);
  }

  #u8(): number {
    return this.#bytes[this.#skip(1)]!;
  }

  #u32(): number {
    return this.#bytes.readUInt32LE(this.#skip(4));
  }

  /** @returns where the skipped bytes begin */
  #skip(count: number): number {
    const start = this.#at;
    if (start + count > this.#bytes.length) throw endsEarly();
    this.#at = start + count;
    return start;
  }
}

const endsEarly = () => malformed('has a pickle that ends in the middle of an instruction');

function refusalOf(name: string): Error {
  return notRead(`needs ${JSON.stringify(name.slice(0, 80))}, which is never loaded: it is a pickled object, no tensor`);
}
