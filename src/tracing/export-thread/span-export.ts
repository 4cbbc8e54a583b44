// Spans on their way to the collector: batches of OTLP over HTTP, from a bounded queue.
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
  /** Most spans that wait to be sent; others are dropped. */
  readonly queueMax: number;
  /** Called for each batch. @param error undefined if the collector has it */
  readonly onSettled: (spans: number, error: Error | undefined) => void;
}

const BATCH_MAX = 512;
/** How long the end of the process waits for the last spans. */
const CLOSE_MS_MAX = 2_000;

const SCOPE = 'carryover';

export class SpanExport {
  readonly source: SpanSource;
  readonly #processor: BatchSpanProcessor;

  constructor({ endpoint, version, delayMs, queueMax, onSettled }: SpanExportOptions) {
    this.source = {
      resource: defaultResource()
        .merge(resourceFromAttributes({ 'service.name': SCOPE, 'service.version': version }))
        .merge(detectResources({ detectors: [envDetector] })),
      instrumentationScope: { name: SCOPE, version },
    };
    const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces` });
    this.#processor = new BatchSpanProcessor({
      exporter: reporting(exporter, onSettled),
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

/** An exporter that tells what has become of each batch. */
function reporting(exporter: SpanExporter, onSettled: SpanExportOptions['onSettled']): SpanExporter {
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        onSettled(spans.length, result.error);
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
  };
}
