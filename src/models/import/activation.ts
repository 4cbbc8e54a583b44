// The activation of an imported layer. An RNN of torch or Keras has the same tensors with tanh and with
// relu, so the request or the file must state which it was.
import { quote } from '../../codec/safetensors/quote.ts';
import { CarryoverError } from '../../errors.ts';

export const ACTIVATION = 'tanh';

const CONFIRM =
  'add ?activation=tanh to the address, or "activation": "tanh" to the __metadata__ of the file, ' +
  'as with save_file(tensors, path, metadata={"activation": "tanh"})';

/**
 * @param activation as the request or the file states it
 * @param ambiguousLayer the kind of layer, if its tensors are the same for every activation
 * @throws activation_unconfirmed · activation_unsupported
 */
export function expectTanh(activation: string | undefined, ambiguousLayer: string | undefined): void {
  if (activation === ACTIVATION) return;
  if (activation !== undefined) {
    throw new CarryoverError('activation_unsupported', {
      detail:
        `The activation is said to be ${quote(activation)}, expected "${ACTIVATION}": this version ` +
        'computes no other, and with tanh the results of this layer would be wrong.',
    });
  }
  if (ambiguousLayer === undefined) return;
  throw new CarryoverError('activation_unconfirmed', {
    detail:
      `The file does not say the activation of its layer: ${ambiguousLayer} has the same tensors with ` +
      `tanh and with relu. Expected it to be confirmed: if the layer was made with tanh, ${CONFIRM}.`,
  });
}
