// Named examples of requests. Done in the order in which the documentation shows the operations, each is answered with 2xx,
// and again when all are done once more. What the service answers is recorded in answers.json (openapi/record-answers.ts).

export interface Example {
  /** As the documentation names it. */
  readonly summary: string;
  readonly body: object;
}

/** Of one operation, by name, the first one is filled in. */
type Examples = Readonly<Record<string, Example>>;

/**
 * Stands for an id. In the documentation it becomes that of the session created there last, or of a new one: an example cannot
 * know an id that is yet to be issued.
 */
export const LAST_SESSION = 'the-session-created-last';

/** D = 1, H = 2, as all sessions of the examples. */
const TANH = {
  W_x: [[0.5, -0.25]],
  W_h: [
    [0.1, 0.2],
    [-0.3, 0.4],
  ],
  b: [0.01, -0.02],
};

/** D = 2, H = 3. */
const LARGER_TANH = {
  W_x: [
    [0.5, -0.25, 0.1],
    [0.3, 0.8, -0.6],
  ],
  W_h: [
    [0.1, 0.2, -0.3],
    [-0.4, 0.5, 0.6],
    [0.7, -0.8, 0.9],
  ],
  b: [0.01, -0.02, 0.03],
};

/** D = 1, H = 1, three gates. */
const GRU = { W_x: [[0.5, -0.25, 1]], W_h: [[0.1, 0.2, -0.3]], b: [0.01, -0.02, 0.03], b_h: [0, 0.1, 0.2] };

/** D = 2, H = 1, four gates. */
const LSTM = {
  W_x: [
    [0.5, -0.25, 1, 0.75],
    [0.3, 0.8, -0.6, 0.2],
  ],
  W_h: [[0.1, 0.2, -0.3, 0.4]],
  b: [0, 1, 0, 0],
};

const EMBEDDING = {
  E: [
    [1, 0],
    [0, 1],
    [-1, 0.5],
  ],
};

const LAYERS = [
  { type: 'embedding', ...EMBEDDING },
  { type: 'lstm', ...LSTM },
  { type: 'gru', ...GRU },
  { type: 'dense', W: [[1, 0, -1]], activation: 'softmax' },
];

const TAGGER = [
  {
    type: 'rnn',
    activation: 'relu',
    direction: 'bidirectional',
    W_x: [[0.5]],
    W_h: [[0.25]],
    backward: { W_x: [[-0.5]], W_h: [[0.125]] },
  },
];

const step: Examples = {
  weights: {
    summary: 'Weights in the request: N = 2, D = 2, H = 3',
    body: {
      weights: LARGER_TANH,
      x: [
        [1, 2],
        [-0.5, 0.25],
      ],
      h: [
        [0, 0, 0],
        [0.1, -0.2, 0.3],
      ],
    },
  },
  model: { summary: 'A model by its name, one that is built in', body: { model: 'sunspots', x: [[0.58]] } },
  session: { summary: 'The next step of a session', body: { session: LAST_SESSION, x: [[0.5]] } },
  trace: {
    summary: 'With the intermediate values: tanh 2 ≈ 0.964',
    body: { weights: { W_x: [[1.5]], W_h: [[1]], b: [0.25] }, x: [[1]], h: [[0.25]], trace: true },
  },
  layers: {
    summary: 'Several layers: embedding, LSTM, GRU, dense',
    body: { weights: { layers: LAYERS }, x: [2, 0], h: [[[0.5], [0]], [[-0.5], [0]]], c: [[[1], [0]], null] },
  },
};

const sequence: Examples = {
  weights: { summary: 'Weights in the request: T = 3, N = 1, D = 1', body: { weights: TANH, x: [[[1]], [[-1]], [[0.5]]] } },
  model: {
    summary: 'A model by its name; of the answer the outputs alone',
    body: { model: 'sunspots', x: [[[0.58]], [[0.61]], [[0.55]]], outputs: ['ys'] },
  },
  session: { summary: 'The next steps of a session', body: { session: LAST_SESSION, x: [[[0.25]], [[-0.25]]] } },
  lengths: {
    summary: 'Rows of unequal lengths: 3 steps and 2',
    body: {
      weights: TANH,
      x: [
        [[1], [0.5]],
        [[-1], [0.25]],
        [[0.5], [0]],
      ],
      lengths: [3, 2],
    },
  },
  trace: {
    summary: 'With the intermediate values of each step',
    body: { weights: { W_x: [[2]], W_h: [[3]], b: [0.5] }, x: [[[0.25]], [[1]]], h: [[-0.5]], trace: true },
  },
  layers: {
    summary: 'Layers in both directions; (N, T, D) instead of (T, N, D)',
    body: { weights: { layers: TAGGER }, x: [[[1], [0.5], [-1]]], layout: 'NTD' },
  },
};

const registerModel: Examples = {
  weights: {
    summary: 'One tanh layer with a readout',
    body: { name: 'tiny', weights: TANH, readout: { W_y: [[1], [-1]], b_y: [0.5] } },
  },
  forecast: {
    summary: 'Scaling, a GRU and a dense layer',
    body: {
      name: 'tiny-forecast',
      layers: [
        { type: 'affine', scale: [0.1], offset: [-2] },
        { type: 'gru', ...GRU },
        { type: 'dense', W: [[2]], b: [20] },
      ],
    },
  },
  text: {
    summary: 'An embedding, an LSTM and a softmax',
    body: {
      name: 'tiny-text',
      layers: [
        { type: 'embedding', ...EMBEDDING },
        { type: 'lstm', ...LSTM },
        { type: 'dense', W: [[1, 0, -1]], activation: 'softmax' },
      ],
    },
  },
  tagger: { summary: 'A layer in both directions', body: { name: 'tiny-tagger', layers: TAGGER } },
};

const createSession: Examples = {
  weights: { summary: 'Weights in the request: D = 1, H = 2', body: { weights: TANH, keep: 16 } },
  model: { summary: 'A model by its name, one that is built in', body: { model: 'sunspots', keep: 16, ttl_s: 3600 } },
  // The last one: the examples below it are of this size.
  state: { summary: 'From a state other than zeros', body: { weights: TANH, h: [[0.5, -0.5]], keep: 16 } },
};

const setState: Examples = {
  state: { summary: 'A state after one step', body: { h: [[0.25, -0.25]], t: 1 } },
  zeros: { summary: 'From the beginning', body: { h: [[0, 0]], t: 0 } },
};

const batch: Examples = {
  items: {
    summary: 'A step of a session, and a sequence that goes on from it',
    body: {
      items: [
        { id: 'first', session: LAST_SESSION, x: [[0.5]] },
        { id: 'second', session: LAST_SESSION, x: [[[0.25]], [[-0.25]]], outputs: ['h'], if_match: 'previous' },
      ],
    },
  },
};

const infer: Examples = {
  sequence: {
    summary: 'A sequence of two steps; of the answer ys alone',
    body: { id: '1', inputs: [{ name: 'x', shape: [2, 1, 1], datatype: 'FP32', data: [0.58, 0.6] }], outputs: [{ name: 'ys' }] },
  },
  start: {
    summary: 'The first step of a sequence with an id',
    body: {
      inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [0.58] }],
      outputs: [{ name: 'y' }],
      parameters: { sequence_id: 42, sequence_start: true },
    },
  },
  end: {
    summary: 'The last step of this sequence',
    body: {
      inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [0.6] }],
      outputs: [{ name: 'y' }],
      parameters: { sequence_id: 42, sequence_end: true },
    },
  },
};

/** Of bodies in JSON, by operationId. */
export const EXAMPLES: Readonly<Record<string, Examples>> = {
  step,
  sequence,
  registerModel,
  pointName: { model: { summary: 'Another name of a model', body: { model: 'tiny' } } },
  createSession,
  setState,
  rewindSession: { beginning: { summary: 'To the beginning', body: { t: 0 } } },
  batch,
  infer,
  repositoryIndex: { all: { summary: 'All models', body: {} } },
  loadModel: { load: { summary: 'A model as it is', body: {} } },
};

/** Of parameters in the path, by operationId: `ref`, `model` or `id`. */
export const PATH_EXAMPLES: Readonly<Record<string, string>> = {
  getModel: 'sunspots',
  inferenceModel: 'sunspots',
  inferenceModelReady: 'sunspots',
  infer: 'sunspots',
  loadModel: 'sunspots',
  pointName: 'current',
  deleteModel: 'tiny-tagger',
  getSession: LAST_SESSION,
  streamSession: LAST_SESSION,
  setState: LAST_SESSION,
  rewindSession: LAST_SESSION,
  forkSession: LAST_SESSION,
  deleteSession: LAST_SESSION,
};
