// Spans on their way to the collector: batches of OTLP over HTTP, from a bounded queue. A collector that is slow or absent
// costs spans, never requests; the log says once that it is, and once that it is back.
//
// The exporter reads by itself: OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE, _CLIENT_CERTIFICATE and
// _CLIENT_KEY; the resource: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace';
import type { SpanSource } from './finished-span.ts';

export interface SpanExportOptions {
  /** Of the collector, without `v1/traces`. */
  readonly endpoint: string;
  readonly version: string;
  /** How long spans are collected until they are sent. */
  readonly delayMs: number;
  /** Most spans that wait to be sent, about 1 kB each; others are dropped. */
  readonly queueMax: number;
  /** Called when spans are lost. Not again before onRestored was. */
  readonly onLost: (reason: Error) => void;
  readonly onRestored: () => void;
}

/** Encoding takes 2 µs a span, during which no request is served. */
const BATCH_MAX = 512;
/** How long the end of the process waits for the last spans. */
const CLOSE_MS_MAX = 2_000;

const SCOPE = 'carryover';

export class SpanExport {
  readonly source: SpanSource;
  readonly #processor: BatchSpanProcessor;

  constructor({ endpoint, version, delayMs, queueMax, onLost, onRestored }: SpanExportOptions) {
    this.source = {
      resource: defaultResource()
        .merge(resourceFromAttributes({ 'service.name': SCOPE, 'service.version': version }))
        .merge(detectResources({ detectors: [envDetector] })),
      instrumentationScope: { name: SCOPE, version },
    };
    const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces` });
    this.#processor = new BatchSpanProcessor({
      exporter: new WatchedExporter(exporter, onLost, onRestored),
      maxQueueSize: queueMax,
      maxExportBatchSize: Math.min(BATCH_MAX, queueMax),
      scheduledDelayMillis: delayMs,
    });
  }

  /** Never waits, and never throws. */
  add(span: ReadableSpan): void {
    this.#processor.onEnd(span);
  }

  /** Sends what is queued, for as long as there is time. Spans that are added later are dropped. */
  async close(): Promise<void> {
    const { promise: timeout, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_MS_MAX);
    await Promise.race([this.#processor.shutdown().catch(() => {}), timeout]);
    clearTimeout(timer);
  }
}

/** An exporter that tells when it begins to fail, and when it succeeds again. */
class WatchedExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #onLost: SpanExportOptions['onLost'];
  readonly #onRestored: SpanExportOptions['onRestored'];
  #isFailing = false;

  constructor(
    exporter: SpanExporter,
    onLost: SpanExportOptions['onLost'],
    onRestored: SpanExportOptions['onRestored'],
  ) {
    this.#exporter = exporter;
    this.#onLost = onLost;
    this.#onRestored = onRestored;
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.#exporter.export(spans, (result) => {
      const { error } = result;
      if (error && !this.#isFailing) this.#onLost(error);
      if (!error && this.#isFailing) this.#onRestored();
      this.#isFailing = error !== undefined;
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}
