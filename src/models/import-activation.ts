// The activation of an imported layer. An RNN of torch or Keras has the same tensors whether it was made
// with tanh or with relu, so of such a file somebody has to say it.
import { quote } from '../codec/safetensors/quote.ts';
import { CarryoverError } from '../errors.ts';

export const ACTIVATION = 'tanh';

const CONFIRM =
  'add ?activation=tanh to the address, or "activation": "tanh" to the __metadata__ of the file, ' +
  'as with save_file(tensors, path, metadata={"activation": "tanh"})';

/**
 * @param said what the request or the file says
 * @param layerWithout what the layer is whose names do not tell, e.g. `a torch RNN`; undefined if they do
 * @throws activation_unconfirmed · activation_unsupported
 */
export function expectTanh(said: string | undefined, layerWithout: string | undefined): void {
  if (said === ACTIVATION) return;
  if (said !== undefined) {
    throw new CarryoverError('activation_unsupported', {
      detail:
        `The activation is said to be ${quote(said)}, expected "${ACTIVATION}": this version ` +
        'computes no other, and with tanh the results of this layer would be wrong.',
    });
  }
  if (layerWithout === undefined) return;
  throw new CarryoverError('activation_unconfirmed', {
    detail:
      `The file does not say the activation of its layer: ${layerWithout} has the same tensors with ` +
      `tanh and with relu. Expected it to be confirmed: if the layer was made with tanh, ${CONFIRM}.`,
  });
}
