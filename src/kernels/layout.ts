// What host and kernels agree on in linear memory, in bytes. One file for both languages: it is
// valid AssemblyScript (compiled into the kernels) and valid TypeScript (imported by src/wasm).
// Every word is a little-endian u32; every pointer is a byte address in the shared memory.

/** Columns of a packed panel. A lane of a vector is always a column, never part of a sum. */
export const NR = 8;

// A job: one model, N rows, each row with its own inputs and its own number of steps.
export const JOB_PANELS = 0; // packed weights, see README.md "The packed panel"
export const JOB_D = 4;
export const JOB_H = 8;
export const JOB_N = 12;
export const JOB_ROWS = 16; // N row records, sorted by ROW_STEPS, longest first
export const JOB_BYTES = 64;

// A row of the mini-batch. State t (t = 0, 1, …) of the row is written at
//   ROW_HS + (t & ROW_HS_MASK) * ROW_HS_STEP
// so a mask of all ones keeps every state and a mask of 1 keeps the last two in turn.
export const ROW_X = 0; //        D floats: x of step 0
export const ROW_X_STEP = 4; //   bytes from one step's x to the next
export const ROW_H = 8; //        H floats: the state before step 0; only read
export const ROW_HS = 12; //      NR⌈H/NR⌉ floats a state: columns beyond H are computed and ignored
export const ROW_HS_STEP = 16;
export const ROW_HS_MASK = 20;
export const ROW_STEPS = 24; //   how many steps this row takes; 0 is allowed
export const ROW_TRACE = 28; //   0, or three arrays [h W_h | x W_x | z], each shaped like hs
export const ROW_TRACE_SIZE = 32; // bytes of one of the three arrays
// Cursors, written by the kernel at the beginning of each step.
export const ROW_X_NOW = 36; //   x_t
export const ROW_H_NOW = 40; //   h_{t-1}
export const ROW_H_NEXT = 44; //  h_t
export const ROW_BYTES = 64;
