// What the page knows of the built-in models: their data, the units of these, and their characters.

export interface Sample {
  /** CSV. */
  readonly address: URL;
  /** x is the data divided by it, and the data is y multiplied by it. */
  readonly unit: number;
  /** The column that y forecasts. */
  readonly compared: string;
}

/** By the name of the model. Addresses are relative to this folder, in which the script of the page is, too. */
export const SAMPLES: ReadonlyMap<string, Sample> = new Map([
  ['sunspots', { address: new URL('samples/sunspots.csv', import.meta.url), unit: 100, compared: 'sunspots' }],
  ['weather', { address: new URL('samples/weather.csv', import.meta.url), unit: 1, compared: 'temp_max' }],
]);

/** By the name of the model: character k is row k of the embedding, and column k of the output. */
export const ALPHABETS: ReadonlyMap<string, string> = new Map([
  ['austen', '\n !"\'()*,-.0123456789:;?ABCDEFGHIJKLMNOPRSTUVWYZ_abcdefghijklmnopqrstuvwxyz'],
]);
