// Reads the text format of Prometheus, strictly: a line that is none fails the test.
export interface PrintedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/;

export function readMetrics(text: string): PrintedSample[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const found = SAMPLE.exec(line);
    if (!found) throw new Error(`no sample: ${line}`);
    const [, name, labels = '', value] = found;
    const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key!, text!] as const);
    return { name: name!, labels: Object.fromEntries(pairs), value: Number(value) };
  });
}

/** The sum of the samples of this name that have these labels. */
export function sumOf(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  return readMetrics(text)
    .filter((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}
