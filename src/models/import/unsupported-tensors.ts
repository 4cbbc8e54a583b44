// Tensors that an import does not support, recognised by their names: which layer they belong to, and what
// to do with a checkpoint that has them. Each pattern takes time linear in the length of the name.

interface Hint {
  readonly pattern: RegExp;
  /** Follows the name; `$1` stands for the capture of the pattern. */
  readonly sentence: string;
}

const EMBEDDING =
  'is of an embedding: one is computed, in front of all other layers, if its name is certain (embedding.weight, ' +
  'Keras embeddings) or the layers are described; another has to be applied before the call';

const HINTS: readonly Hint[] = [
  {
    pattern: /(?:^|[./])parametrizations[./](\w{1,64})/,
    sentence:
      'is a part of a parametrized weight, e.g. of weight_norm: before saving, call ' +
      'torch.nn.utils.parametrize.remove_parametrizations(module, "$1") for each of them',
  },
  {
    pattern: /(weight(?:_[ih]h(?:_l\d+(?:_reverse)?)?)?)_[gv]$/,
    sentence:
      'is a part of a weight under weight_norm: before saving, call ' +
      'torch.nn.utils.remove_weight_norm(module, "$1") for each of them',
  },
  {
    pattern: /weight(?:_[ih]h(?:_l\d+(?:_reverse)?)?)?_(?:orig|mask|u)$/,
    sentence:
      'is a part of a pruned or spectrally normed weight: before saving, call ' +
      'torch.nn.utils.prune.remove(module, name) or torch.nn.utils.remove_spectral_norm(module, name)',
  },
  {
    pattern: /(?:num_batches_tracked|(?:running|moving)_(?:mean|var|variance))$/,
    sentence:
      'is of a batch normalisation, which is computed only where the layers are described: as {"type":"affine","name":' +
      '"its path","eps":0.00001} in ?layers=',
  },
  {
    pattern: /norm(?:alization)?\d*(?:_\d+)?[./](?:weight|bias|gamma|beta|scale)(?::0)?$/i,
    sentence:
      'is of a normalisation over features, which is not computed: in front of all layers apply it to x before the call',
  },
  {
    pattern: /(?:^|[./_])(?:emb|embed|embeddings?|embed_tokens|wte|word_embeddings)[./_]/i,
    sentence: EMBEDDING,
  },
  {
    pattern: /(?:^|[./])(?:embeddings?)(?::0)?$/i,
    sentence: EMBEDDING,
  },
  {
    pattern: /(?:^|[./_])conv(?:olution)?(?:_?[123]d)?(?:_?\d{1,9})?(?:_transpose)?[./](?:weight|bias|kernel)(?::0)?$/i,
    sentence: 'is of a convolution, which is not computed: apply it before the call, and save the file without it',
  },
  {
    pattern: /(?:^|[./_])(?:in_proj|out_proj|[qkv]_proj|attn|attention|self_attn)(?:[./_]|$)/i,
    sentence: 'is of an attention layer, which is not computed',
  },
  {
    pattern: /weight_hr_l\d+(?:_reverse)?$/,
    sentence: 'is the projection of an LSTM (proj_size), which is not computed: use an LSTM without proj_size',
  },
  {
    pattern: /(?:^|[./])optimizer[./]/i,
    sentence: 'is the state of an optimizer: save the weights of the model alone',
  },
  {
    pattern: /(?:^|[./])seed_generator/,
    sentence: 'is the state of random numbers for training: save the file without it',
  },
];

/** A sentence about the first name that is recognised, beginning with a space; empty if none is. */
export function hintAbout(names: readonly string[], quote: (name: string) => string): string {
  for (const name of names) {
    const hint = HINTS.find(({ pattern }) => pattern.test(name));
    const captured = hint?.pattern.exec(name)?.[1] ?? '';
    if (hint) return ` ${quote(name)} ${hint.sentence.replace('$1', () => captured)}.`;
  }
  return '';
}
