// The records in linear memory by which the host describes work to the kernels, and the kernels return their results:
// offsets and sizes in bytes. One file for both languages: it is valid AssemblyScript (compiled into the kernels) and
// valid TypeScript (imported by src/wasm). Every field is a little-endian u32; every pointer is a byte address in the
// shared memory.

/**
 * Columns of a panel of float64; rows of states and outputs are padded to a multiple of it. A lane of a vector is
 * always a column, never a part of a sum.
 */
export const NR = 8;

/** Columns of a panel of float32; the last panel has NR where H padded to NR is an odd multiple of NR. */
export const WIDE = 16;

/**
 * Models with D + H up to this are called narrow and are summed in float64, rounded once: their sums are so short
 * that a rounding error in float32 would show, and their arithmetic costs less than the call around it.
 */
export const NARROW_MAX = 96;

/**
 * Products are summed in blocks of k, each from 0, and the block's sum is added to the sum so far. A product over up
 * to BLOCK_16_MAX values of k has blocks of 16, one over up to BLOCK_32_MAX has blocks of 32, a longer one of 64. README.md
 * says how they were chosen.
 */
export const BLOCK_16_MAX = 192;
export const BLOCK_32_MAX = 768;

// A packed model: a head, then one record for each layer, then the weights. All places in it are offsets from its
// first byte, so the block may stand anywhere. A bidirectional layer is two layers with the same input.
// README.md describes the packed panels.
export const MODEL_LAYERS = 0; // how many layer records follow
export const MODEL_BYTES = 64;

export const LAYER_KIND = 0;
export const LAYER_ACTIVATION = 4; // of dense and rnn layers
export const LAYER_INPUTS = 8; //     D of recurrent and affine layers, I of dense ones, V of an embedding
export const LAYER_OUTPUTS = 12; //   H of recurrent layers, O of dense ones, D of an embedding
export const LAYER_NARROW = 16; //    1: its weights and b are packed as float64, 0: as float32
export const LAYER_REVERSE = 20; //   1: a recurrent layer that begins at each row's last step
export const LAYER_W_X = 24; //       W_x; W of dense layers, E of an embedding, scale of affine ones
export const LAYER_W_H = 28;
export const LAYER_B = 32; //         b; offset of affine layers
export const LAYER_FINISH_B = 36; //  what is added to the products: b, or -0 if b is part of them, in narrow layers
export const LAYER_BYTES = 64;

export const EMBEDDING = 0;
export const AFFINE = 1;
export const DENSE = 2;
export const RNN = 3;
export const GRU_AFTER = 4;
export const GRU_BEFORE = 5;
export const LSTM = 6;

export const LINEAR = 0;
export const RELU = 1;
export const TANH = 2;
export const SIGMOID = 3;
export const SOFTMAX = 4;

// A job record: one model, N rows, each row with its own number of steps.
export const JOB_MODEL = 0; //     address of a packed model
export const JOB_RUNS = 4; //      one run record for each of its layers
export const JOB_N = 8;
export const JOB_ROWS = 12; //     N row records, sorted by ROW_STEPS, longest first
export const JOB_PAIRS = 16; //    space for JOB_PAIRS_MAX row pairs, see PAIR_BYTES
export const JOB_PAIRS_MAX = 20; // at least 2 N + 2 ROWS_AT_ONCE + SCRATCH_PAIRS
export const JOB_SCRATCH = 24; //  space for 2 ROWS_AT_ONCE rows between affine and dense layers
export const JOB_SCRATCH_ROW = 28; // bytes of such a row
export const JOB_TIME_BLOCK = 32; // steps whose x W_x is computed as one product
export const JOB_SEGMENT = 36; //  steps that one layer computes before the next layer does: a time block, or all
//                                 steps if a layer is reversed
export const JOB_HEAD = 40; //     index of the first layer behind the last recurrent one; the number of layers if
//                                 there is none
export const JOB_Y = 44; //        outputs of the head for each row's final state: (N, O'), O' = NR⌈O/NR⌉
// A job may be computed in slices, one after another: a record covers steps JOB_FIRST_STEP … JOB_END_STEP - 1 of every
// row that has them. What the previous slice has left in linear memory must still be there.
export const JOB_FIRST_STEP = 48;
export const JOB_END_STEP = 52; //  beyond the longest row: to the end
// RECORD_KIND is at 60.
export const JOB_Y_ROW = 64; //     bytes of a row of JOB_Y
export const JOB_FINAL = 68; //     (N, JOB_FINAL_ROW bytes): final states of the last recurrent layer, side by side
export const JOB_FINAL_ROW = 72;
export const JOB_BYTES = 128;

// A row record: one row of the mini-batch.
export const ROW_N = 0; //     its index in the batch
export const ROW_STEPS = 4; // how many steps it has; 0 is allowed
export const ROW_INFINITE_RUN = 8; // written by the kernel: the run of the first relu layer with an infinite state, or 0
export const ROW_INFINITE_STEP = 12; // and its step
export const ROW_BYTES = 16;

// A sequence: where the vectors of row n at step t are, at
//   SEQUENCE_AT + (t & SEQUENCE_MASK) * SEQUENCE_STEP + n * SEQUENCE_ROW
// With a mask of all ones each step has a slot of its own. With a mask of 2^k - 1 the slots are a ring of 2^k.
export const SEQUENCE_AT = 0;
export const SEQUENCE_STEP = 4;
export const SEQUENCE_ROW = 8;
export const SEQUENCE_MASK = 12;
export const SEQUENCE_BYTES = 16;

// A run record: where one layer has its inputs, states and outputs in a job. A vector of H floats is padded to
// H' = NR⌈H/NR⌉; what is computed in columns beyond H is ignored.
export const RUN_X = 0; //        sequence: inputs of the layer, not padded; of an embedding one u32, a row number of E
export const RUN_OUT = 16; //     sequence: outputs; 0 of head layers if only those of the final states are wanted
export const RUN_GATES = 32; //   sequence: the gates of a recurrent layer until they are finished; may be RUN_OUT
export const RUN_H_INITIAL = 48; // (N, H): the hidden state before the first step, not padded; only read
export const RUN_H_BEFORE = 52; // (N, H'): space for the same, padded
export const RUN_H_FINAL = 56; // (N, RUN_FINAL_ROW bytes): the hidden state after each row's last step
export const RUN_FINAL_ROW = 60;
export const RUN_C_INITIAL = 64; // the same of the cell state of an lstm
export const RUN_C = 68; //       (N, H'): the cell state, after each step
export const RUN_TRACE = 72; //   sequence: 0, or pre-activations (G, H') and values (G, H') of the gates
export const RUN_PRODUCTS = 88; // sequence: 0, or h W_h, x W_x and z of an rnn, RUN_PRODUCTS_SIZE bytes apart
export const RUN_PRODUCTS_SIZE = 104;
export const RUN_EMBEDDING = 108; // address of the layer record of the embedding whose rows x are; 0 if x are floats
export const RUN_BYTES = 128;

/** Rows that affine and dense layers compute at once. */
export const ROWS_AT_ONCE = 40;

// A row pair: the operands of one row of a product C += A W. The rows of a product are a list of pairs, so they need
// not be at equal distances: rows of several steps, or of several requests, are one product.
export const PAIR_SOURCE = 0; //  the row of A
export const PAIR_TARGET = 4; //  the row of C
export const PAIR_BYTES = 8;

/**
 * Scratch space after the 2 N row pairs of a step, in pairs: narrow models store the accumulators of a tile there,
 * 256 bytes from the next multiple of 64 on, and softmax layers a number for each of ROWS_AT_ONCE rows.
 */
export const SCRATCH_PAIRS = 40;

/**
 * What a record asks for, in its last word: a job (JOB_… above), JSON to be read, JSON to be printed, or a
 * function of the host.
 */
export const RECORD_KIND = 60;
export const KIND_JOB = 0;
export const KIND_READ = 1;
export const KIND_PRINT = 2;
export const KIND_HOST = 3;

// JSON to be read: its tensors are copied to READ_NUMBERS and the rest, with placeholders for them, to
// READ_SKELETON (read.ts). After the input are JSON_PADDING zero bytes.
export const READ_INPUT = 0;
export const READ_INPUT_END = 4;
export const READ_NAMES = 8; //          the names of tensors: see READ_NAME_BYTES
export const READ_NAMES_END = 12;
export const READ_SKELETON = 16; //      space for the input without the tensors' numbers
export const READ_SKELETON_END = 20; //  written by the kernel: where the skeleton ends; 0 if the kernel
//                                       declines the input, for whatever reason
export const READ_OUTSIDE_MAX = 24; //   bytes that the input may have outside its tensors, without white
//                                       space; of a tensor its first number counts
export const READ_TENSORS = 28; //       space for TENSORS_MAX tensor records
export const READ_TENSORS_END = 32; //   written by the kernel
export const READ_NUMBERS = 36; //       space for all numbers, float32
export const READ_NUMBERS_MAX = 40; //   end of that space
export const READ_FALLBACKS = 44; //     space for FALLBACKS_MAX fallback records
export const READ_KEYS = 56; //          written by the kernel: how many keys its objects have
export const READ_BYTES = 64;

/** The kernel loads 32 bytes at once, so up to 31 after the last byte of its input. */
export const JSON_PADDING = 64;

/** A name: its length in the first byte, then its characters; in the last byte 1 if its value may be a list. */
export const READ_NAME_BYTES = 8;
export const READ_NAME_LIST = 7;

/** Tensors of one document: as many as 32 bidirectional layers with both biases have. */
export const TENSORS_MAX = 256;
/**
 * Bounds of a document outside its tensors, and so of what JSON.parse of its skeleton costs. A request has a
 * few dozen keys, and is three deep.
 */
export const DEPTH_MAX = 32;
export const CONTAINERS_MAX = 2048;
export const KEYS_MAX = 2048;
export const TENSOR_NUMBERS = 0; // float32, row-major
export const TENSOR_RANK = 4; //    1 … RANK_MAX
export const TENSOR_SHAPE = 8; //   RANK_MAX sizes, the outermost first
export const TENSOR_BYTES = 32;
export const RANK_MAX = 3;

// A fallback: a decimal too close to the middle of two float32 for the kernel, converted by the host, up to
// FALLBACKS_MAX at once (wasm/number-fallbacks.ts). Of multiples of 2^-32, printed with 17 digits, one in 256
// is such a middle; of other float64s hardly any is as close to one.
export const FALLBACKS_MAX = 64;
export const FALLBACK_DECIMAL = 0; //  address of the decimal, and of its end
export const FALLBACK_DECIMAL_END = 4;
export const FALLBACK_NUMBER = 8; //   where its float32 goes
export const FALLBACK_BYTES = 16;

// JSON to be printed: segments one after the other (print.ts).
export const PRINT_SEGMENTS = 0;
export const PRINT_SEGMENTS_END = 4;
export const PRINT_OUTPUT = 8; //      space for the JSON; its size: wasm/print-job.ts
export const PRINT_OUTPUT_END = 12; // written by the kernel
export const PRINT_BYTES = 64;

// A segment: some bytes as they are, then a tensor as nested arrays.
export const SEGMENT_TEXT = 0;
export const SEGMENT_TEXT_END = 4;
export const SEGMENT_NUMBERS = 8;
export const SEGMENT_RANK = 12; //      0: there is no tensor
export const SEGMENT_AXES = 16; //      for each axis, the outermost first: its size, and the bytes from
export const SEGMENT_AXIS_BYTES = 8; // one element to the next
export const SEGMENT_BYTES = 48;

/**
 * `-123456790000000000000,` has 23 characters. After the output are JSON_PADDING bytes, as the kernel
 * stores more at once than it prints.
 */
export const PRINTED_BYTES_MAX = 24;

// A function of the host over linear memory (wasm/host-job.ts). The kernels only call it.
export const HOST_FUNCTION = 0; //    its number in the table
export const HOST_INPUT = 4;
export const HOST_INPUT_END = 8;
export const HOST_RESULT = 12; //     space for what it returns
export const HOST_RESULT_MAX = 16; // end of that space
export const HOST_RESULT_END = 20; // written by the host
export const HOST_FAILED = 24; //     written by the host: 1 if the result is an error
export const HOST_ARGUMENTS = 28; //  HOST_ARGUMENTS_MAX words; what they mean is the function's
export const HOST_ARGUMENTS_MAX = 8;
export const HOST_BYTES = 64;
