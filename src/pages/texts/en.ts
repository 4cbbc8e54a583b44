// All texts of the page in English. The other languages have the same keys.

export const en = {
  languageName: 'English',
  bar: {
    skip: 'Skip to the content',
    views: 'Views',
    understand: 'Understand',
    try: 'Try a model',
    models: 'Models',
    sessions: 'Sessions',
    more: 'More',
    docs: 'API',
    problems: 'Errors',
    language: 'Language',
    theme: 'Theme',
    themes: { auto: 'As the system', light: 'Light', dark: 'Dark' },
    key: 'API key',
    keySet: 'API key: set',
  },
  key: {
    title: 'API key',
    explanation: 'Kept in this tab until it is closed, and sent with every call of this page.',
    label: 'Key',
    save: 'Save',
    forget: 'Forget it',
    cancel: 'Cancel',
  },
  snippets: {
    title: 'Take it with you',
    copy: 'Copy',
    copied: 'Copied.',
    notCopied: 'The browser did not allow it: select the text and copy it.',
  },
  heatmap: {
    /** Read aloud where the picture is not seen. */
    summary: (name: string, rows: number, columns: number) => `${name}, ${rows} × ${columns}. Arrow keys move from number to number.`,
  },
  understand: {
    title: 'One step of a recurrent network',
    cells: {
      rnn: {
        name: 'RNN (tanh)',
        explanation: 'A recurrent network reads a series one step at a time. From the new input and from what it remembers it makes the next memory, the hidden state `h`, and carries it over to the next step. The weights are the same at every step.',
        formulas: ['h_t = tanh(h_{t-1} W_h + x_t W_x + b)'],
      },
      gru: {
        name: 'GRU',
        explanation: 'A GRU proposes a new state `n`, and its gates, numbers between 0 and 1, decide: `z` how much of the old state stays, `r` how much of it the proposal may look at.',
        formulas: [
          'r = σ(h_{t-1} W_{hr} + x_t W_{xr} + b_r)',
          'z = σ(h_{t-1} W_{hz} + x_t W_{xz} + b_z)',
          'n = tanh(r ∘ (h_{t-1} W_{hn}) + x_t W_{xn} + b_n)',
          'h_t = (1 - z) ∘ n + z ∘ h_{t-1}',
        ],
      },
      lstm: {
        name: 'LSTM',
        explanation: 'An LSTM has a second memory, the cell state `c`, which is changed only by what its gates, numbers between 0 and 1, let through: `f` forgets, `i` writes, and `o` shows a part of `c` as the hidden state `h`.',
        formulas: [
          'i = σ(h_{t-1} W_{hi} + x_t W_{xi} + b_i)',
          'f = σ(h_{t-1} W_{hf} + x_t W_{xf} + b_f)',
          'g = tanh(h_{t-1} W_{hg} + x_t W_{xg} + b_g)',
          'o = σ(h_{t-1} W_{ho} + x_t W_{xo} + b_o)',
          'c_t = f ∘ c_{t-1} + i ∘ g',
          'h_t = o ∘ tanh(c_t)',
        ],
      },
    },
    gate: 'Gate',
    gatesTitle: 'The gates',
    updateTitle: 'The new state',
    gates: {
      gru: {
        r: { name: 'reset', explanation: 'The reset gate: how much of the old state the proposal `n` may look at.' },
        z: { name: 'update', explanation: 'The update gate: where it is 1 the old state stays, where it is 0 the proposal takes its place.' },
        n: { name: 'proposal', explanation: 'What the state would become. The part that comes from the old state is multiplied by `r`, number by number.' },
      },
      lstm: {
        i: { name: 'input', explanation: 'The input gate: how much of the candidate `g` is written to the cell state.' },
        f: { name: 'forget', explanation: 'The forget gate: how much of the old cell state stays. At 1 it is carried over as it is, however many steps pass.' },
        g: { name: 'candidate', explanation: 'What could be written to the cell state.' },
        o: { name: 'output', explanation: 'The output gate: how much of the cell state is shown as the hidden state `h`.' },
      },
    },
    lines: {
      memory: 'What it remembers, times `W_h`',
      input: 'What it reads, times `W_x`',
      bias: 'the same for each row',
    },
    sum: {
      hint: 'Point at a number, or move to it with Tab and the arrow keys, to see what it is made of. The underlined numbers can be changed: click one, or press Enter, and type. Orange is above 0, blue below.',
      more: (count: number) => `… ${count} more …`,
    },
    curve: {
      label: (activation: string) => `The curve of ${activation}, with the numbers of this step on it`,
      tanh: (atTwo: string) => `tanh makes each \`z\`, however large, a number between −1 and 1: tanh 2 ≈ ${atTwo}. The points are the numbers of this step.`,
      sigmoid: (atTwo: string) => `σ makes each \`z\`, however large, a number between 0 and 1, as a valve has: σ(2) ≈ ${atTwo}. The points are the numbers of this step.`,
    },
    controls: {
      cell: 'Cell',
      sizes: { N: 'rows', D: 'inputs', H: 'hidden units' },
      input: 'Input of the next steps',
      seed: 'Seed',
      random: 'Other weights',
    },
    series: { sine: 'Sine', impulse: 'One impulse, then 0', noise: 'Noise', same: 'The last x again' },
    run: {
      label: 'Steps',
      reset: 'Reset',
      step: 'Step',
      play: 'Play',
      pause: 'Pause',
      speed: 'Speed',
      batchRow: 'Row of the batch',
      stepsPerSecond: (count: number) => (count === 1 ? '1 step/s' : `${count} steps/s`),
      position: (t: number, T: number) => (t === T ? `t = ${t}` : `t = ${t} of ${T}`),
    },
    time: {
      title: 'Over time: the network unrolled',
      explanation: 'Each column is one step, time goes to the right. Every `h` was made from the `h` to its left and the `x` above it, by the same weights. Choose a column to see its equation.',
      slider: (name: string) => `${name} over time: the step that is shown`,
      strip: (rows: number, T: number) => `${rows} × ${T}`,
    },
  },
  failure: {
    title: 'That did not work.',
    unauthenticated: 'This service needs an API key. Enter one above.',
    unreachable: 'The service does not answer. Is it still running?',
  },
};

export type Texts = typeof en;
