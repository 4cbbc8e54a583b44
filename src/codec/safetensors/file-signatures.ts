// Recognizes files of other formats that are sent as safetensors by mistake, by their first bytes, and says how
// to convert them. It is used only after reading a file as safetensors has failed, as the size of a header may
// begin with any bytes.

/** In a local file header of a zip archive: the offset of the length of the name, and that of the name. */
const ZIP_NAME_LENGTH_AT = 26;
const ZIP_NAME_AT = 30;
const ZIP = '504b0304';
/** The first file in an archive of torch, in whatever folder, or of Keras. */
const TORCH_ENTRIES = ['data.pkl', '.format_version', '.storage_alignment', 'byteorder', 'version'];
const KERAS_ENTRIES = ['metadata.json', 'config.json', 'model.weights.h5'];
/** Enough for the first name in a zip archive, and for a line of text. */
const SIGNATURE_BYTES = 300;

const SAVE = '"model.safetensors", metadata={"activation": "tanh"})';

const TORCH =
  'of torch.save (.pt, .pth, .bin). In Python: `import torch; from safetensors.torch import save_file; ' +
  `save_file(torch.load("model.pt", weights_only=True), ${SAVE}\`, if it holds a state_dict; of a whole ` +
  'module, save model.state_dict()';

const MODELS_ONLY = 'It describes a model: register that with POST /v1/models, which reads it as it is';
const KERAS = `of Keras, in HDF5 or as .keras. ${MODELS_ONLY}`;
const ONNX = `of ONNX. ${MODELS_ONLY}`;

const NUMPY =
  'of NumPy (.npz). In Python: `import numpy as np; from safetensors.numpy import save_file; ' +
  'save_file(dict(np.load("model.npz")), "model.safetensors")`, with arrays named W_x, W_h, b';

const ONE_ARRAY =
  'one array of NumPy (.npy). In Python: `import numpy as np; from safetensors.numpy import save_file; ' +
  'save_file({"W_x": np.load("W_x.npy"), "W_h": np.load("W_h.npy"), "b": np.load("b.npy")}, ' +
  '"model.safetensors")`';

const HDF5_BYTES = /^894844460d0a1a0a/;
/**
 * Protocol buffers: the version of the format, then a text or the graph with its length. A SavedModel of TensorFlow
 * begins alike, with version 1.
 */
const ONNX_BYTES = /^08(?!0[012])[0-7].(?:[1-3][2a]|42)(?!00)/;

interface Format {
  /** Matches the first bytes, in hexadecimal. */
  readonly bytes?: RegExp;
  /** Matches the first bytes, as Latin-1. */
  readonly text?: RegExp;
  /** Continues `The file is `. */
  readonly sentence: string;
}

const FORMATS: readonly Format[] = [
  // A pickle: the number of its protocol, then one of the opcodes with which pickles begin.
  { bytes: /^800[2-5](?:28|5d|63|7d|8a|95)/, sentence: TORCH },
  { bytes: HDF5_BYTES, sentence: KERAS },
  { bytes: ONNX_BYTES, sentence: ONNX },
  { text: /^.NUMPY/, sentence: ONE_ARRAY },
  {
    text: /^GGUF/,
    sentence: 'of GGUF. Write the tensors of the RNN with a safetensors library, under the names W_x, W_h, b',
  },
  // gzip, Zstandard, bzip2, xz
  {
    bytes: /^(?:1f8b08|28b52ffd|425a68|fd377a58)/,
    sentence: 'compressed. Send it uncompressed',
  },
  {
    text: /^version https:\/\/git-lfs/,
    sentence: 'a pointer of Git LFS, not the file itself. Fetch that with `git lfs pull`',
  },
  { text: /^\s*<(?:!doctype|html)/i, sentence: 'an HTML page, perhaps of a download that failed' },
  {
    text: /^(?:\xef\xbb\xbf)?\s*[[{][\s!-~]{3}/,
    sentence: 'JSON text. Send it with `Content-Type: application/json`',
  },
];

/** Whether a file begins as those of HDF5 do, which Keras writes. */
export function isHdf5(bytes: Uint8Array): boolean {
  return HDF5_BYTES.test(startOf(bytes).toString('hex'));
}

/** Whether a file begins as those of ONNX do. A safetensors file cannot: its header would be larger than any is. */
export function isOnnx(bytes: Uint8Array): boolean {
  return ONNX_BYTES.test(startOf(bytes).toString('hex'));
}

function startOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.subarray(0, SIGNATURE_BYTES));
}

/** A sentence that says what the file is and how to convert it; undefined if its format is not known. */
export function identifyFormat(bytes: Uint8Array): string | undefined {
  const start = startOf(bytes);
  const [hex, text] = [start.toString('hex'), start.toString('latin1')];
  const sentence = hex.startsWith(ZIP)
    ? ofZip(start)
    : FORMATS.find((format) => format.bytes?.test(hex) || format.text?.test(text))?.sentence;
  return sentence && `The file is ${sentence}.`;
}

/** torch, Keras and NumPy all write zip archives, which differ in the first name. */
function ofZip(start: Buffer): string {
  const nameLength = start.length > ZIP_NAME_AT ? start.readUInt16LE(ZIP_NAME_LENGTH_AT) : 0;
  const name = start.toString('latin1', ZIP_NAME_AT, ZIP_NAME_AT + nameLength);
  if (TORCH_ENTRIES.includes(name.slice(name.lastIndexOf('/') + 1))) return TORCH;
  if (name.endsWith('.npy')) return NUMPY;
  if (KERAS_ENTRIES.includes(name)) return KERAS;
  return 'a zip archive. Send the safetensors file alone, uncompressed; of torch, Keras or NumPy make one first';
}
