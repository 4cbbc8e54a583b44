// What host and kernels agree on in linear memory, in bytes. One file for both languages: it is
// valid AssemblyScript (compiled into the kernels) and valid TypeScript (imported by src/wasm).
// Every word is a little-endian u32; every pointer is a byte address in the shared memory.

/** Columns of a packed panel. A lane of a vector is always a column, never part of a sum. */
export const NR = 8;

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
export const JOB_PAIRS_MAX = 32; // at least 2 N
export const JOB_AHEAD = 36; // steps whose x W_x is computed ahead: the slots of hs allow as many
export const JOB_NARROW = 40; // 1: W_x, W_h and b are packed as float64, 0: as float32
export const JOB_O = 44; //      outputs of the readout y = h W_y + b_y; 0: there is none
export const JOB_W_Y = 48; //    packed panels, float32
export const JOB_B_Y = 52;
export const JOB_BYTES = 64;

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
