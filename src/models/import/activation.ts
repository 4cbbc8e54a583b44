// The activation of imported layers, if no description tells it. An RNN of torch or Keras has the same tensors with
// tanh and with relu, and so have an LSTM and a GRU of Keras, so the request or the file must state which it was.
import { quote } from '../../codec/safetensors/quote.ts';
import { CarryoverError } from '../../errors.ts';
import { type FoundLayer, isFoundRecurrent } from './layer.ts';

/** Of a model in the short form. */
export const ACTIVATION = 'tanh';

/**
 * The layers with the activation that is stated.
 *
 * @param activation as the request or the file states it
 * @throws activation_unconfirmed · activation_unsupported
 */
export function withActivation(layers: readonly FoundLayer[], activation: string | undefined): FoundLayer[] {
  return layers.map((layer) => {
    if (!isFoundRecurrent(layer)) return layer;
    const { type, unstated } = layer;
    if (activation === undefined) {
      if (unstated !== undefined) throw unconfirmed(unstated, type === 'rnn');
      return layer;
    }
    if (activation === ACTIVATION || (activation === 'relu' && type === 'rnn' && unstated !== undefined)) {
      return type === 'rnn' ? { ...layer, activation } : layer;
    }
    throw unsupported(activation, type === 'rnn' && unstated !== undefined ? '"tanh" or "relu"' : `"${ACTIVATION}"`);
  });
}

/** @throws activation_unsupported unless it is that of a model in the short form, if any */
export function expectTanh(activation: string | undefined): void {
  if (activation !== undefined && activation !== ACTIVATION) throw unsupported(activation, `"${ACTIVATION}"`);
}

function unsupported(activation: string, expected: string): CarryoverError {
  const said = `The activation is said to be ${quote(activation)}`;
  return new CarryoverError('activation_unsupported', {
    detail: `${said}, expected ${expected}: these layers are computed with no other.`,
  });
}

function unconfirmed(kind: string, isRnn: boolean): CarryoverError {
  const other = isRnn
    ? 'with tanh and with relu'
    : 'with every activation, and only tanh (with sigmoid of its gates) is computed';
  const confirm =
    'add ?activation=tanh to the address, or "activation": "tanh" to the __metadata__ of the file, ' +
    'as with save_file(tensors, path, metadata={"activation": "tanh"})';
  return new CarryoverError('activation_unconfirmed', {
    detail:
      `The file does not say the activation of its layer: ${kind} has the same tensors ${other}. Expected it to be ` +
      `confirmed: if the layer was made with tanh, ${confirm}${isRnn ? '; with relu, say relu' : ''}.`,
  });
}
