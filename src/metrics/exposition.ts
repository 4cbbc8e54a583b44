// The registry of @prometheus-io/client, which prints all metrics as text, and what is registered with it.
import { AggregatorRegistry, type Metric, Registry, collectDefaultMetrics } from '@prometheus-io/client';
import type { MetricDefinition } from './catalogue.ts';
import { Count, Distribution, Family, type Sample } from './series.ts';

/** A value that is read when it is scraped; undefined if it is not known. */
export type Reading = number | undefined | Promise<number | undefined>;

/** Everything that was counted in a process, to be sent to another. */
export type Snapshot = readonly Measured[];

interface Measured {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** How those of several processes become one. */
  readonly aggregator?: string;
  readonly values: readonly Partial<Sample>[];
}

/** The snapshots of several processes as one. */
export function together(snapshots: readonly Snapshot[]): Snapshot {
  return AggregatorRegistry.aggregate(snapshots as object[]).getMetricsAsArray() as unknown as Snapshot;
}

/** The same as text. */
export function printTogether(snapshots: readonly Snapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate(snapshots as object[]).metrics();
}

/** Metrics of the library that measure the delay of the event loop: ours does not depend on how often it is scraped. */
const LIBRARY_DELAYS = /^nodejs_eventloop_lag_/;
/** The library's own monitor of the event loop is not used, so it is to wake up rarely. */
const UNUSED_PRECISION_MS = 1_000;

export class Exposition {
  readonly #registry = new Registry();
  #running: Promise<string> | undefined;

  /** Memory, processor time, garbage collection and files of the process, as the library measures them. */
  addProcessMetrics(): void {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: UNUSED_PRECISION_MS });
    for (const { name } of this.#registry.getMetricsAsArray()) {
      if (LIBRARY_DELAYS.test(name)) this.#registry.removeSingleMetric(name);
    }
  }

  /** A metric that is counted up. */
  counter(definition: MetricDefinition): Family<Count> {
    const family = new Family(definition.labels, () => new Count());
    this.#register(definition, () => family.samples(definition.name));
    return family;
  }

  histogram(definition: MetricDefinition & { readonly buckets: readonly number[] }): Family<Distribution> {
    const family = new Family(definition.labels, () => new Distribution(definition.buckets));
    this.#register(definition, () => family.samples(definition.name));
    return family;
  }

  /** A metric without labels, or the values of its one label with what each is read from. */
  read(definition: MetricDefinition, readings: (() => Reading) | Readonly<Record<string, () => Reading>>): void {
    const [label] = definition.labels;
    const { name } = definition;
    const ofLabel = ([value, read]: [string, () => Reading]) => ({ labels: { [label!]: value }, read });
    const all = typeof readings === 'function' ? [{ labels: {}, read: readings }] : Object.entries(readings).map(ofLabel);
    this.#register(definition, async () => {
      const values = await Promise.all(all.map(async ({ read }) => read()));
      return values.flatMap((value, at): Sample[] =>
        value === undefined ? [] : [{ metricName: name, labels: all[at]!.labels, value }],
      );
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics as text. Whoever asks while it is printed gets the same text. */
  print(): Promise<string> {
    this.#running ??= this.#registry.metrics().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async snapshot(): Promise<Snapshot> {
    const all = (await this.#registry.getMetricsAsJSON()) as Snapshot;
    // The library would leave out when the processes were started.
    return all.map((metric) => (metric.aggregator === 'omit' ? { ...metric, aggregator: 'min' } : metric));
  }

  #register(definition: MetricDefinition, samples: () => Sample[] | Promise<Sample[]>): void {
    const { name, type, help, aggregator = 'sum' } = definition;
    const metric = { name, type, help, aggregator, get: async () => ({ name, type, help, aggregator, values: await samples() }) };
    // The registry asks a metric for its name and for get(), and for nothing of the classes that its types demand.
    this.#registry.registerMetric(metric as unknown as Metric<string>);
  }
}
