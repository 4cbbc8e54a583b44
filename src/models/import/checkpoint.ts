// The tensors of a checkpoint → layers in our layout, whatever framework named them.
//
// The names alone decide the convention, and with it the layout, never the shapes: W_h is square, and so
// is W_x where D = H, so a missing transposition would go unnoticed. Nothing is guessed: a tensor whose
// purpose is not certain is refused, and the error names it. What names cannot tell is told by a description.
//
// To add a name convention: one file beside torch-names.ts, and one row in CONVENTIONS.
import { quote } from '../../codec/safetensors/quote.ts';
import type { SafeTensor } from '../../codec/safetensors/read.ts';
import { invalidRequest } from '../../errors.ts';
import type { LayerSource } from '../../layers.ts';
import { withActivation } from './activation.ts';
import { CARRYOVER_NAMES } from './carryover-names.ts';
import { convertLayer } from './convert-layer.ts';
import type { Convention } from './convention.ts';
import { claimDescribed, expectSizes } from './described-layers.ts';
import { parseDescription } from './description.ts';
import type { FoundFile } from './found-file.ts';
import { KERAS_NAMES } from './keras-names.ts';
import type { FoundLayer } from './layer.ts';
import { type LayerSizes, expectLayerCount, expectShapesAgree } from './layer-shapes.ts';
import { originsOf } from './origins.ts';
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
  /** The description of all layers, in JSON (description.ts); it tells activations and the readout itself. */
  readonly layers?: string | undefined;
}

export interface Import {
  readonly layers: readonly LayerSource[];
  /** Which tensors of the file each of ours was made of, e.g. `rnn.weight_ih_l0 (transposed)`. */
  readonly tensors: Readonly<Record<string, string>>;
  /** What this service does otherwise than the file says, in sentences. */
  readonly notes?: readonly string[];
}

/**
 * The layers of a file. Their tensors are read when they are copied, and may be out of range then.
 *
 * @throws unknown_tensors · layers_unconfirmed · activation_unconfirmed · activation_unsupported · shape_mismatch ·
 *   limit_exceeded · invalid_request
 */
export function importCheckpoint(tensors: ReadonlyMap<string, SafeTensor>, options: ImportOptions = {}): Import {
  const unclaimed = new UnclaimedTensors(tensors);
  const { layers, sizes } =
    options.layers === undefined ? readByNames(unclaimed, options) : readDescribed(unclaimed, options, options.layers);
  return convert(layers, sizes);
}

/**
 * The layers of a file that tells of each what it is. Their tensors are read when they are copied, as above.
 *
 * @throws shape_mismatch · limit_exceeded
 */
export function importFound({ layers, notes }: FoundFile): Import {
  expectLayerCount(layers.length);
  return { ...convert(layers, expectShapesAgree(layers)), notes };
}

function convert(layers: readonly FoundLayer[], sizes: readonly LayerSizes[]): Import {
  return {
    layers: layers.map((layer, k) => convertLayer(layer, sizes[k]!, k)),
    tensors: originsOf(layers, isShortForm(layers)),
  };
}

interface SizedLayers {
  readonly layers: readonly FoundLayer[];
  readonly sizes: readonly LayerSizes[];
}

function readByNames(tensors: UnclaimedTensors, { activation, readout }: ImportOptions): SizedLayers {
  const found = conventionOf(tensors).read(tensors, readout);
  expectLayerCount(found.length);
  const sizes = expectShapesAgree(found);
  return { layers: withActivation(found, activation), sizes };
}

function readDescribed(tensors: UnclaimedTensors, { activation, readout }: ImportOptions, text: string): SizedLayers {
  const stated = activation !== undefined ? 'activation' : readout !== undefined ? 'readout' : undefined;
  if (stated !== undefined) {
    throw invalidRequest(
      `Both a description of the layers and ${stated} are given: expected the description alone, which tells it too.`,
    );
  }
  const claimed = claimDescribed(tensors, parseDescription(text), CONVENTIONS);
  expectLayerCount(claimed.length);
  const layers = claimed.map(({ found }) => found);
  const sizes = expectShapesAgree(layers);
  for (const [k, layer] of claimed.entries()) expectSizes(layer, sizes[k]!);
  return { layers, sizes };
}

/** Whether they are one tanh layer, alone or with a linear dense layer. */
function isShortForm([rnn, dense, ...more]: readonly FoundLayer[]): boolean {
  if (rnn?.type !== 'rnn' || rnn.activation !== 'tanh' || rnn.direction !== 'forward' || more.length > 0) return false;
  return !dense || (dense.type === 'dense' && dense.activation === 'linear');
}

/** @throws unknown_tensors if the names match no convention, or several */
function conventionOf(tensors: UnclaimedTensors): Convention {
  const names = tensors.names();
  const firsts = CONVENTIONS.flatMap((convention) => {
    const [first] = tensors.matching(convention.pattern);
    return first === undefined ? [] : [{ convention, first: tensors.nameInFile(first) }];
  });
  if (firsts.length === 1) return firsts[0]!.convention;
  const accepted = CONVENTIONS.map(({ title, accepts }) => `${accepts} (${title})`).join('; or ');
  if (firsts.length === 0) {
    const message = `The file has the tensors ${listNames(names)}, expected ${accepted}.`;
    throw refusal('unknown_tensors', names, `${message}${hintAbout(names, quote)}`);
  }
  const mixed = firsts.map(({ convention, first }) => `${quote(first)} (${convention.title})`);
  throw refusal(
    'unknown_tensors',
    firsts.map(({ first }) => first),
    `The file mixes names: ${mixed.join(' and ')}, expected one of ${accepted}; or a description of the layers, as ` +
      '?layers= in the address or "carryover.layers" in the __metadata__ of the file.',
  );
}
