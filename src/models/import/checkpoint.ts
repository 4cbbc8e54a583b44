// The tensors of a checkpoint → one recurrent layer in our layout, whatever framework named them:
//
//   h_t = tanh(x_t W_x + h_{t-1} W_h + b), y = h W_y + b_y
//
// The names alone decide the convention, and with it the layout, never the shapes: W_h is square, and so
// is W_x where D = H, so a missing transposition would go unnoticed. Nothing is guessed: a tensor whose
// purpose is not certain is refused, and the error names it.
//
// To add a name convention: one file beside torch-names.ts, and one row in CONVENTIONS.
import { quote } from '../../codec/safetensors/quote.ts';
import type { SafeTensor } from '../../codec/safetensors/read.ts';
import { expectTanh } from './activation.ts';
import { CARRYOVER_NAMES } from './carryover-names.ts';
import { convertLayer } from './convert-layer.ts';
import type { Convention } from './convention.ts';
import { KERAS_NAMES } from './keras-names.ts';
import { type ImportedModel, originsOf } from './layer.ts';
import { expectShapesAgree } from './layer-shapes.ts';
import { listNames, refusal } from './refusal.ts';
import { TORCH_NAMES } from './torch-names.ts';
import { UnclaimedTensors } from './unclaimed-tensors.ts';
import { hintAbout } from './unsupported-tensors.ts';

const CONVENTIONS: readonly Convention[] = [CARRYOVER_NAMES, TORCH_NAMES, KERAS_NAMES];

/** What the names of a file leave open. */
export interface ImportOptions {
  readonly activation?: string | undefined;
  /** The path of the Linear or Dense layer that computes y from h, e.g. `head` for `head.weight`. */
  readonly readout?: string | undefined;
}

export interface Import {
  readonly model: ImportedModel;
  /** Which tensors of the file each of ours was made of, e.g. `rnn.weight_ih_l0 (transposed)`. */
  readonly tensors: Readonly<Record<string, string>>;
}

/**
 * The result may share memory with `tensors`: what needs no conversion is not copied.
 *
 * @throws unknown_tensors · activation_unconfirmed · activation_unsupported · shape_mismatch · out_of_range
 */
export function importCheckpoint(
  tensors: ReadonlyMap<string, SafeTensor>,
  { activation, readout }: ImportOptions = {},
): Import {
  const { canonicalName, read, ambiguousLayer } = conventionOf(tensors);
  const layer = read(new UnclaimedTensors(tensors, canonicalName), readout);
  expectShapesAgree(layer);
  expectTanh(activation, ambiguousLayer);
  return { model: convertLayer(layer), tensors: originsOf(layer) };
}

/** @throws unknown_tensors if the names match no convention, or several */
function conventionOf(tensors: ReadonlyMap<string, SafeTensor>): Convention {
  const names = [...tensors.keys()];
  const first = (convention: Convention) => names.find((name) => convention.pattern.test(name));
  const found = CONVENTIONS.filter((convention) => first(convention) !== undefined);
  if (found.length === 1) return found[0]!;
  const accepted = CONVENTIONS.map(({ title, accepts }) => `${accepts} (${title})`).join('; or ');
  if (found.length === 0) {
    const message = `The file has the tensors ${listNames(names)}, expected ${accepted}.`;
    throw refusal('unknown_tensors', names, `${message}${hintAbout(names, quote)}`);
  }
  const mixed = found.map((convention) => `${quote(first(convention)!)} (${convention.title})`);
  throw refusal(
    'unknown_tensors',
    found.map((convention) => first(convention)!),
    `The file mixes names: ${mixed.join(' and ')}, expected one of ${accepted}.`,
  );
}
