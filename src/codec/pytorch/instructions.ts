// The instructions of a pickle that state dicts need. https://docs.python.org/3/library/pickletools.html

export const STOP = 0x2e;

/** By their names in Python's pickletools. */
const CODES = {
  PROTO: 0x80,
  FRAME: 0x95,
  NONE: 0x4e,
  NEWTRUE: 0x88,
  NEWFALSE: 0x89,
  EMPTY_DICT: 0x7d,
  EMPTY_LIST: 0x5d,
  EMPTY_TUPLE: 0x29,
  BININT1: 0x4b,
  BININT2: 0x4d,
  BININT: 0x4a,
  LONG1: 0x8a,
  BINFLOAT: 0x47,
  SHORT_BINUNICODE: 0x8c,
  BINUNICODE: 0x58,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  MEMOIZE: 0x94,
  BINGET: 0x68,
  LONG_BINGET: 0x6a,
  MARK: 0x28,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  TUPLE: 0x74,
  APPEND: 0x61,
  APPENDS: 0x65,
  SETITEM: 0x73,
  SETITEMS: 0x75,
  BINPERSID: 0x51,
  GLOBAL: 0x63,
  STACK_GLOBAL: 0x93,
  REDUCE: 0x52,
  BUILD: 0x62,
} as const;

export type Instruction = keyof typeof CODES;

/** By their codes. */
export const INSTRUCTIONS: ReadonlyMap<number, Instruction> = new Map(
  Object.entries(CODES).map(([name, code]) => [code, name as Instruction]),
);
