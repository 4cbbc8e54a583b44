// What host and kernels agree on in linear memory, in bytes. One file for both languages: it is
// valid AssemblyScript (compiled into the kernels) and valid TypeScript (imported by src/wasm).
// Every word is a little-endian u32; every pointer is a byte address in the shared memory.

/**
 * Columns of a panel of float64, and what columns are rounded up to. A lane of a vector is always a
 * column, never part of a sum.
 */
export const NR = 8;

/** Columns of a panel of float32; the last one has NR where H rounded up is an odd multiple of NR. */
export const WIDE = 16;

/**
 * Models with D + H up to this are narrow: their sums are short, an error in them shows, and their
 * arithmetic costs less than the call around it. They are summed in float64 and rounded once.
 */
export const NARROW_MAX = 96;

/**
 * Values of k that are summed from 0 before they are added to what was summed before: a product over
 * up to SHORT_MAX values has blocks of SHORT_BLOCK, a longer one of LONG_BLOCK.
 */
export const SHORT_MAX = 64;
export const SHORT_BLOCK = 16;
export const LONG_BLOCK = 32;

// A job: one model, N rows, each row with its own inputs and its own number of steps.
// The packed panels of W_x, W_h and b: see README.md.
export const JOB_W_X = 0;
export const JOB_W_H = 4;
export const JOB_B = 8;
export const JOB_D = 12;
export const JOB_H = 16;
export const JOB_N = 20;
export const JOB_ROWS = 24; //  N row records, sorted by ROW_STEPS, longest first
export const JOB_PAIRS = 28; // room for JOB_PAIRS_MAX pairs
export const JOB_PAIRS_MAX = 32; // at least 2 N + SUMS_PAIRS
export const JOB_AHEAD = 36; // steps whose x W_x is computed ahead: the slots of hs allow as many
export const JOB_NARROW = 40; // 1: W_x, W_h and b are packed as float64, 0: as float32
export const JOB_O = 44; //      outputs of the readout y = h W_y + b_y; 0: there is none
export const JOB_W_Y = 48; //    packed panels, float32
export const JOB_B_Y = 52;
// A job may be computed in slices, one after another: steps JOB_FROM … JOB_END - 1 of every row that has
// them. The states before JOB_FROM must be where the slice before has left them.
export const JOB_FROM = 56;
export const JOB_END = 64; //    behind RECORD_KIND; beyond the longest row: to the end
export const JOB_BYTES = 128;

// A row of the mini-batch. State t (t = 0, 1, …) of the row is written at
//   ROW_HS + (t & ROW_HS_MASK) * ROW_HS_STEP
// so a mask of all ones keeps every state and a mask of 2^n - 1 keeps the last 2^n in turn.
export const ROW_X = 0; //        D floats: x of step 0
export const ROW_X_STEP = 4; //   bytes from one step's x to the next
export const ROW_H = 8; //        H floats: the state before step 0; only read
export const ROW_HS = 12; //      NR⌈H/NR⌉ floats a state: columns beyond H are computed and ignored
export const ROW_HS_STEP = 16;
export const ROW_HS_MASK = 20;
export const ROW_STEPS = 24; //   how many steps this row takes; 0 is allowed
export const ROW_TRACE = 28; //   0, or three arrays [h W_h | x W_x | z], each shaped like hs
export const ROW_TRACE_SIZE = 32; // bytes of one of the three arrays
export const ROW_Y = 36; //       readout of the last state: NR⌈O/NR⌉ floats
export const ROW_YS = 40; //      0, or readouts of all states, from ROW_YS on,
export const ROW_YS_STEP = 44; // so many bytes from one step's to the next
export const ROW_BYTES = 64;

// A pair: one row of a product, C += A W.
export const PAIR_SOURCE = 0; //  the row of A
export const PAIR_TARGET = 4; //  the row of C
export const PAIR_BYTES = 8;

/**
 * Room behind the 2 N pairs of a step: narrow models put the sums of a tile there, 256 bytes at the next
 * multiple of 64.
 */
export const SUMS_PAIRS = 40;

/**
 * What a record asks for, in its last word: a job (JOB_… above), a text to be read, one to be printed, or
 * a function of the host.
 */
export const RECORD_KIND = 60;
export const KIND_JOB = 0;
export const KIND_READ = 1;
export const KIND_PRINT = 2;
export const KIND_HOST = 3;

// A text to be read: JSON whose tensors are moved out of it, see read.ts. Behind the text are
// TEXT_PADDING zero bytes.
export const READ_TEXT = 0;
export const READ_TEXT_END = 4;
export const READ_NAMES = 8; //          the names of tensors: see READ_NAME_BYTES
export const READ_NAMES_END = 12;
export const READ_SKELETON = 16; //      room for the text without the tensors' numbers
export const READ_SKELETON_END = 20; //  written by the kernel: where the skeleton ended; 0 if the text
//                                       has something in it that is not read here, whatever it is
export const READ_OUTSIDE_MAX = 24; //   bytes that the text may have outside its tensors, without white
//                                       space; of a tensor its first number counts
export const READ_TENSORS = 28; //       room for TENSORS_MAX tensor records
export const READ_TENSORS_END = 32; //   written by the kernel
export const READ_NUMBERS = 36; //       room for all numbers, float32
export const READ_NUMBERS_MAX = 40; //   end of the room
export const READ_DOUBTS = 44; //        room for DOUBTS_MAX doubt records
export const READ_KEYS = 56; //          written by the kernel: how many keys its objects have
export const READ_BYTES = 64;

/** 32 bytes are looked at at once, so up to 31 behind the text's last one. */
export const TEXT_PADDING = 64;

/** A name: its length in the first byte, then its characters. */
export const READ_NAME_BYTES = 8;

/** Tensors of one text: ten times what one layer with its readout, its inputs and state has. */
export const TENSORS_MAX = 64;
/**
 * What a text may have outside its tensors, so that whoever makes values of its skeleton knows what they
 * cost: a request has a few dozen keys, and is three deep.
 */
export const DEPTH_MAX = 32;
export const CONTAINERS_MAX = 2048;
export const KEYS_MAX = 2048;
export const TENSOR_NUMBERS = 0; // float32, row-major
export const TENSOR_RANK = 4; //    1 … RANK_MAX
export const TENSOR_SHAPE = 8; //   RANK_MAX sizes, the outermost first
export const TENSOR_BYTES = 32;
export const RANK_MAX = 3;

// A number whose float32 the kernel leaves open: wasm/doubts.ts decides, for up to DOUBTS_MAX at once. Of
// multiples of 2^-32, printed with 17 digits, one in 256 is the middle of two float32; of other float64s,
// hardly any is as near to one as to be in doubt.
export const DOUBTS_MAX = 64;
export const DOUBT_TEXT = 0; //     the decimal, its address and end
export const DOUBT_TEXT_END = 4;
export const DOUBT_NUMBER = 8; //   where its float32 goes
export const DOUBT_BYTES = 16;

// A text to be printed: pieces behind each other, see print.ts.
export const PRINT_PIECES = 0;
export const PRINT_PIECES_END = 4;
export const PRINT_TEXT = 8; //       room for the text: see print-job.ts
export const PRINT_TEXT_END = 12; //  written by the kernel
export const PRINT_BYTES = 64;

// A piece: some bytes as they are, then a tensor as nested arrays.
export const PIECE_BYTES_AT = 0;
export const PIECE_BYTES_END = 4;
export const PIECE_NUMBERS = 8;
export const PIECE_RANK = 12; //      0: there is no tensor
export const PIECE_AXES = 16; //      for each axis, the outermost first: its size, and the bytes from
export const PIECE_AXIS_BYTES = 8; // one element to the next
export const PIECE_BYTES = 48;

/**
 * `-123456790000000000000,` has 23 characters. Behind the text are TEXT_PADDING bytes, as whole words are
 * stored.
 */
export const PRINTED_BYTES_MAX = 24;

// A function of the host over linear memory: see wasm/host-job.ts. The kernels only hand it on.
export const HOST_FUNCTION = 0; //    its number in the table
export const HOST_INPUT = 4;
export const HOST_INPUT_END = 8;
export const HOST_RESULT = 12; //     room for what it returns
export const HOST_RESULT_MAX = 16; // end of the room
export const HOST_RESULT_END = 20; // written by the host
export const HOST_FAILED = 24; //     written by the host: 1 if the result is an error
export const HOST_ARGUMENTS = 28; //  HOST_ARGUMENTS_MAX words; what they mean is the function's
export const HOST_ARGUMENTS_MAX = 8;
export const HOST_BYTES = 64;
