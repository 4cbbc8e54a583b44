// Which tensor of a checkpoint is the embedding in front of the recurrent layers, without a description: one whose name
// is used for nothing else. An embedding of positions, for example, is of the same shape.
import type { FoundEmbedding } from './layer.ts';
import { isWithin } from './readout.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

/** The last part of the path of a torch Embedding that is used without being stated. */
const EMBEDDING_NAMES = [
  'embedding', 'embeddings', 'embed', 'emb',
  'embed_tokens', 'token_embedding', 'token_embeddings', 'tok_embeddings', 'word_embedding', 'word_embeddings', 'wte',
];

const AXES = ['V', 'D'];

/**
 * Claims the Embedding of a torch checkpoint, if there is one.
 *
 * @param rnnPath prefix of the names of the recurrent layers
 */
export function claimTorchEmbedding(tensors: UnclaimedTensors, rnnPath: string): FoundEmbedding[] {
  const paths = tensors
    .matching(/\.weight$/)
    .map((name) => name.slice(0, -'.weight'.length))
    .filter((path) => EMBEDDING_NAMES.includes(path.slice(path.lastIndexOf('.') + 1)))
    .filter((path) => !tensors.has(`${path}.bias`) && isWithin(rnnPath, path));
  return claimOnly(tensors, paths.map((path) => `${path}.weight`));
}

/** Claims the Embedding of a Keras checkpoint, if there is one. No other layer has a tensor of this name. */
export function claimKerasEmbedding(tensors: UnclaimedTensors): FoundEmbedding[] {
  return claimOnly(tensors, tensors.matching(/(?:^|[/.])embeddings$/));
}

/** Of several none is claimed, and all are left. */
function claimOnly(tensors: UnclaimedTensors, names: readonly string[]): FoundEmbedding[] {
  const E = names.length === 1 ? tensors.take(names[0]!, AXES) : undefined;
  return E ? [{ type: 'embedding', E }] : [];
}
