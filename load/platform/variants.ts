// What bench:platform compares: the service with different settings, or requests with different headers. The first variant is
// what the others are compared with.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface Variant {
  readonly name: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** Of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The checkout whose src/server.ts is started; this one if absent. */
  readonly checkout?: string;
  /** The least ratio of its requests/s to those of the first variant that is wanted. */
  readonly ratioMin?: number;
  /** Whether spans have to arrive at the collector. */
  readonly isTraced?: boolean;
}

export interface VariantParts {
  readonly collectorUrl: string;
  readonly metricsPort: () => Promise<string>;
  /** Where files may be made. */
  readonly folder: string;
}

const TRACEPARENT = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' };

export async function makeVariants({ collectorUrl, metricsPort, folder }: VariantParts): Promise<readonly Variant[]> {
  const keys = makeKeys(folder);
  const metrics = async () => ({ METRICS_PORT: await metricsPort(), METRICS_HOST: '127.0.0.1' });
  const traces = { OTEL_EXPORTER_OTLP_ENDPOINT: collectorUrl };
  const some = { ...traces, OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.01' };
  return [
    { name: 'nothing' },
    { name: 'keys', ...keys },
    { name: 'metrics', settings: await metrics() },
    { name: 'keys and metrics', ...keys, settings: { ...keys.settings, ...(await metrics()) }, ratioMin: 0.93 },
    { name: 'a traceparent, no collector', headers: TRACEPARENT },
    { name: 'traces of 1 %', settings: some, isTraced: true },
    { name: 'traces of all', settings: traces, isTraced: true },
    {
      name: 'keys, metrics and traces of 1 %',
      ...keys,
      settings: { ...keys.settings, ...(await metrics()), ...some },
      isTraced: true,
    },
    {
      name: 'keys, metrics and traces of all',
      ...keys,
      settings: { ...keys.settings, ...(await metrics()), ...traces },
      ratioMin: 0.85,
      isTraced: true,
    },
  ];
}

function makeKeys(folder: string): Required<Pick<Variant, 'settings' | 'headers'>> {
  const file = join(folder, 'keys.json');
  const command = join(import.meta.dirname, '../../src/cli/carryover.mjs');
  const options = ['--tenant', 'bench', '--scopes', 'compute,models', '--file', file, '--json'];
  const { key } = JSON.parse(execFileSync(process.execPath, [command, 'key', 'new', ...options], { encoding: 'utf8' })) as {
    key: string;
  };
  return { settings: { API_KEYS_FILE: file }, headers: { authorization: `Bearer ${key}` } };
}
